"""The messages of a command: the logger `mailcli`, shown on stderr one line each.

As a library, mailcli logs and shows nothing; the command line calls `log_to_stderr`.
"""

from __future__ import annotations

import logging

import click

#: All loggers of the package are below this one.
LOGGER = logging.getLogger("mailcli")


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at the time, as Click does, so that nothing is lost when it is redirected."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        click.echo(self.format(record), err=True)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show the package's messages from a level up on stderr; calling it again changes the level.

    Args:
        level: `logging.INFO`: notes and progress; `WARNING` (`-q`): no progress; `DEBUG` (`-v`): details, too.
    """
    if not any(isinstance(handler, _StderrHandler) for handler in LOGGER.handlers):
        LOGGER.addHandler(_StderrHandler())
    LOGGER.setLevel(level)


def is_quiet() -> bool:
    """Whether progress is not to be shown (`-q`)."""
    return LOGGER.level > logging.INFO
