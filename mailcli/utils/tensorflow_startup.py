"""TensorFlow's start-up without its notes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mailcli.utils.hardware import has_graphics_card

#: What TensorFlow 2.21 writes at every start, whatever TF_CPP_MIN_LOG_LEVEL says.
NOISE = (
    "All log messages before absl::InitializeLog",
    "oneDNN custom operations are on",
    # At the first transposition of whole numbers of a process.
    "oneDNN supports DT_INT64 only on platforms with AVX-512",
)
#: What it writes besides where there is no graphics card; where there is one, the same lines tell of a fault.
NO_CARD = ("Could not find cuda drivers on your machine", "failed call to cuInit")


def load_tensorflow(begin: Callable[[], None] | None = None) -> None:
    """Import TensorFlow and start it; of what it writes meanwhile, all but the usual notes goes on to stderr.

    Args:
        begin: called between, before its first operation, and with the real stderr.
    """
    if "tensorflow" not in sys.modules:
        with _without_notes():
            import tensorflow as tf

            # Each run has its own graph, which TensorFlow takes for a mistake after five of them.
            tf.get_logger().setLevel("ERROR")
            # Looked for once, with notes of its own.
            tf.config.list_physical_devices("GPU")
        if begin is None:
            _start()
    if begin is not None:
        begin()
        _start()


def _start() -> None:
    with _without_notes():
        import tensorflow as tf

        tf.transpose(tf.constant([[0]], tf.int64))


@contextmanager
def _without_notes() -> Iterator[None]:
    """What is written to stderr is held back, and at the end all but the usual notes is told.

    TensorFlow's libraries write to file descriptor 2 directly, so Python's own redirection does not see it.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            kept.seek(0)
            noise = NOISE if has_graphics_card() else (*NOISE, *NO_CARD)
            for line in kept.read().decode(errors="replace").splitlines():
                if not any(known in line for known in noise):
                    sys.stderr.write(f"{line}\n")
