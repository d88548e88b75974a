"""The messages of a command: the logger `mailcli`, one line each on stderr.

Used as a library, mailcli only logs; the command line calls `log_to_stderr` to show the messages.
"""

from __future__ import annotations

import logging

import click

#: The parent of all loggers of the package.
LOGGER = logging.getLogger("mailcli")


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, as Click does, so that it can be redirected at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        click.echo(self.format(record), err=True)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show the package's messages of a level and above on stderr; call it again to change the level.

    Args:
        level: `logging.INFO`: notes and progress; `WARNING` (`-q`): no progress; `DEBUG` (`-v`): details as well.
    """
    if not any(isinstance(handler, _StderrHandler) for handler in LOGGER.handlers):
        LOGGER.addHandler(_StderrHandler())
    LOGGER.setLevel(level)


def is_quiet() -> bool:
    """Whether progress is hidden (`-q`)."""
    return LOGGER.level > logging.INFO
