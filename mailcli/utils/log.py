"""The messages of a command: the logger `mailcli`, one line each on stderr, and in a file if asked for.

Used as a library, mailcli only logs; the command line calls `log_to_stderr` to show the messages.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mailcli.escape import terminal, wrapped

#: The parent of all loggers of the package.
LOGGER = logging.getLogger("mailcli")
#: A line of a log file: the time, the level, the message.
_LINE_FORMAT = "{asctime} {levelname:<7} {message}"
#: How such a line begins.
_LINE_START = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
#: Bytes that hold the start of a line.
_START_BYTES = 64


class _OneLine(logging.Formatter):
    """A message as one line; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The message, with nothing that a terminal would obey."""
        return terminal(super().formatMessage(record))


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, so that it can be redirected at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message; work continues without it where stderr is full or its terminal is closed."""
        with suppress(OSError):
            text = self.format(record)
            # Not by `click.echo`: it would write past the bars of Rich, which stands in for `sys.stderr`.
            print(wrapped(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


class _FileHandler(logging.FileHandler):
    """Appends to a file; work continues without it once it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say so once."""
        del record
        stop_log_file(self)
        LOGGER.warning(f"--log {self.baseFilename}: cannot be written ({sys.exc_info()[1]}). Nothing more is logged.")


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show the package's messages of a level and above on stderr; call it again to change the level.

    Args:
        level: `logging.INFO`: notes and progress; `WARNING` (`-q`): no progress; `DEBUG` (`-v`): details as well.
    """
    handler = next((handler for handler in LOGGER.handlers if isinstance(handler, _StderrHandler)), None)
    if handler is None:
        handler = _StderrHandler()
        handler.setFormatter(_OneLine())
        LOGGER.addHandler(handler)
    handler.setLevel(level)
    _listen_to_handlers()


@contextmanager
def stderr_shows(level: int) -> Iterator[None]:
    """Show messages of a level and above on stderr within the block; afterwards the previous level applies again."""
    before = stderr_level()
    log_to_stderr(level)
    try:
        yield
    finally:
        if before is None:
            for handler in [handler for handler in LOGGER.handlers if isinstance(handler, _StderrHandler)]:
                LOGGER.removeHandler(handler)
            _listen_to_handlers()
        else:
            log_to_stderr(before)


def log_to_file(path: Path) -> Callable[[], None]:
    """Append all messages to a file as well, with the time of each; returns what ends that.

    Raises:
        OSError: the file cannot be written.
    """
    handler = _FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_OneLine(_LINE_FORMAT, style="{"))
    handler.setLevel(logging.DEBUG)
    LOGGER.addHandler(handler)
    _listen_to_handlers()
    return lambda: stop_log_file(handler)


def is_log_file(path: Path) -> bool:
    """Whether a file begins as `log_to_file` writes it (OSError: it cannot be read)."""
    with open(path, "rb") as file:
        return bool(_LINE_START.match(file.read(_START_BYTES)))


def stop_log_file(handler: logging.Handler) -> None:
    """Log to stderr only."""
    LOGGER.removeHandler(handler)
    with suppress(OSError):
        handler.close()
    _listen_to_handlers()


def note_in_file(level: int, message: str, error: BaseException | None = None) -> None:
    """Log a message to the file only, because stderr shows it in another form.

    Args:
        level: of the message.
        message: one line.
        error: whose traceback is logged.
    """
    traceback = (type(error), error, error.__traceback__) if error else None
    record = LOGGER.makeRecord(LOGGER.name, level, __file__, 0, message, (), traceback)
    # Not by `LOGGER.log`: a handler that a library has given to the root logger would show it on stderr, too.
    for handler in LOGGER.handlers:
        if isinstance(handler, _FileHandler):
            handler.handle(record)


def log_to_queue(queue: Any, level: int) -> None:
    """In a worker: send the messages of a level and above to the process that shows them, by `LOGGER.handle`."""
    LOGGER.addHandler(logging.handlers.QueueHandler(queue))
    LOGGER.setLevel(level)


def is_worker() -> bool:
    """Whether other processes' messages are shown among this one's, so that each has to say whose it is."""
    return any(isinstance(handler, logging.handlers.QueueHandler) for handler in LOGGER.handlers)


def stderr_level() -> int | None:
    """The lowest level that is shown on stderr; None if none is."""
    return next((handler.level for handler in LOGGER.handlers if isinstance(handler, _StderrHandler)), None)


def is_quiet() -> bool:
    """Whether progress is hidden (`-q`)."""
    level = stderr_level()
    return (LOGGER.level if level is None else level) > logging.INFO


def _listen_to_handlers() -> None:
    """Let the logger pass on what some handler shows, and no more: debug messages are costly."""
    LOGGER.setLevel(min((handler.level for handler in LOGGER.handlers), default=logging.NOTSET))
