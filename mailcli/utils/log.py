"""The messages of a command: the logger `mailcli`, one line each on stderr.

Used as a library, mailcli only logs; the command line calls `log_to_stderr` to show the messages.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import click

from mailcli.escape import terminal

#: The parent of all loggers of the package.
LOGGER = logging.getLogger("mailcli")


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, as Click does, so that it can be redirected at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message; work goes on without it where stderr is full or its terminal is closed."""
        with suppress(OSError):
            click.echo(self.format(record), err=True)


class _OneLine(logging.Formatter):
    """A message as one line; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The message, with nothing that a terminal would obey."""
        return terminal(super().formatMessage(record))


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show the package's messages of a level and above on stderr; call it again to change the level.

    Args:
        level: `logging.INFO`: notes and progress; `WARNING` (`-q`): no progress; `DEBUG` (`-v`): details as well.
    """
    if not any(isinstance(handler, _StderrHandler) for handler in LOGGER.handlers):
        handler = _StderrHandler()
        handler.setFormatter(_OneLine())
        LOGGER.addHandler(handler)
    LOGGER.setLevel(level)


def is_quiet() -> bool:
    """Whether progress is hidden (`-q`)."""
    return LOGGER.level > logging.INFO
