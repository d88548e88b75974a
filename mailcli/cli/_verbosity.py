"""The options that say how much a command reports, and where: -v, -q, --debug and --log.

Nothing slow is imported here: `mail --help` reads this module.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import click

from mailcli import __version__
from mailcli.cli._types import path_option
from mailcli.errors import MailError
from mailcli.utils.log import is_log_file, log_to_file, log_to_stderr, note_in_file

logger = logging.getLogger(__name__)

#: The key of Click's `meta` for --debug.
_DEBUG = "mailcli.debug"


def _set_log_level(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value:
        return
    log_to_stderr(logging.DEBUG if param.name == "verbose" else logging.WARNING)
    logger.debug(f"{ctx.command_path}: mail {__version__}, Python {platform.python_version()} ({sys.executable})")


def _log_to_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    del param
    if value is not None:
        # Where FILE is forgotten, the next word is taken for it: `mail run --log FILE.toml`.
        if value.is_file() and value.stat().st_size and not is_log_file(value):
            raise MailError(f"--log {value}: already exists and is not a log of `mail`. Name another file.")
        # Until the whole command has ended, so that its error is logged as well.
        ctx.find_root().call_on_close(log_to_file(value))
        note_in_file(logging.INFO, f"{ctx.command_path}: mail {__version__}, Python {platform.python_version()}")


#: Where messages go besides stderr.
LOG = path_option(
    "--log",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_log_to_file,
    text="Also append all messages to FILE, with the time of each and with those that only -v shows.",
)


def _show_tracebacks(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value:
        # `meta` is the same for a command and its groups.
        ctx.meta[_DEBUG] = True


def shows_tracebacks(ctx: click.Context) -> bool:
    """Whether --debug was given, before or after the command's name."""
    return _DEBUG in ctx.meta


def _flag(*names: str, callback: Callable[..., None], text: str) -> click.Option:
    """A flag that is read before all others."""
    return click.Option(names, is_flag=True, is_eager=True, expose_value=False, callback=callback, help=text)


#: Set how much a command reports on stderr; every command has all of them.
VERBOSITY: list[click.Parameter] = [
    _flag("-v", "--verbose", callback=_set_log_level, text="Show debug messages."),
    _flag("-q", "--quiet", callback=_set_log_level, text="Show only warnings and errors, no notes or progress."),
    _flag("--debug", callback=_show_tracebacks, text="Show the traceback of an error, too."),
]
