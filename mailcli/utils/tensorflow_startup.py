"""TensorFlow's start-up without its usual messages."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from mailcli.errors import MailError
from mailcli.utils.hardware import has_graphics_card, threads_fault
from mailcli.utils.keras_startup import import_keras

#: What TensorFlow 2.21 writes at every start, whatever TF_CPP_MIN_LOG_LEVEL is.
NOISE = (
    "All log messages before absl::InitializeLog",
    "oneDNN custom operations are on",
    # At a process's first transposition of an integer tensor.
    "oneDNN supports DT_INT64 only on platforms with AVX-512",
)
#: What it also writes on machines without a graphics card; on others, these lines report a real fault.
NOISE_WITHOUT_GPU = ("Could not find cuda drivers on your machine", "failed call to cuInit")


def load_tensorflow(begin: Callable[[], None] | None = None) -> None:
    """Import and start TensorFlow, hiding its usual messages on stderr.

    Args:
        begin: called after the import and before the first operation, with stderr as it is.

    Raises:
        MailError: the environment asks for a negative number of threads, at which TensorFlow aborts.
    """
    if fault := threads_fault():
        raise MailError(fault)
    # Its start-up messages are noise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # By default a process takes a graphics card's whole memory; the runs that `mail` trains in parallel share it.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if "tensorflow" not in sys.modules:
        with _without_noise():
            import_keras()
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            # The search for a graphics card writes messages of its own.
            tf.config.list_physical_devices("GPU")
        if begin is None:
            _start()
    # Each run has its own graph; after five of them TensorFlow warns of retracing, if somebody else has imported it.
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    if begin is not None:
        begin()
        _start()


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()


def _start() -> None:
    with _without_noise():
        import tensorflow as tf

        tf.transpose(tf.constant([[0]], tf.int64))


def _temporary_file() -> IO[bytes]:
    """A file without a name (MailError: no folder can hold one)."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        # Python's own text lists the folders that it tried.
        raise MailError(
            f"{error.strerror}. TensorFlow's start needs a folder for a small temporary file. Free some space there, "
            "or set TMPDIR to another folder."
        ) from error


@contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back stderr within the block, then write it without the usual messages.

    TensorFlow's libraries write to file descriptor 2 directly, so redirecting `sys.stderr` would not catch them.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with _temporary_file() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            noise = NOISE if has_graphics_card() else (*NOISE, *NOISE_WITHOUT_GPU)
            for line in captured.read().decode(errors="replace").splitlines():
                if not any(message in line for message in noise):
                    sys.stderr.write(f"{line}\n")
