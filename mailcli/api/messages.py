"""Messages and progress of a call, on stderr as those of a command."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mailcli.utils.log import stderr_level, stderr_shows

#: What is shown, and the random numbers of TensorFlow, are those of the whole process.
_ONE_CALL = threading.RLock()


@contextmanager
def messages_shown(quiet: bool) -> Iterator[None]:
    """Show messages and progress within the block; only warnings if `quiet`, details where they are shown already.

    Another thread waits until the block has ended.
    """
    with _ONE_CALL:
        details = stderr_level() == logging.DEBUG
        with stderr_shows(logging.WARNING if quiet else logging.DEBUG if details else logging.INFO):
            yield
