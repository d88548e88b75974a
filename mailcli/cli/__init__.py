"""The command line `mail`: one file per command; the function has the name of its file."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from mailcli import __version__
from mailcli.cli._verbosity import VERBOSITY, shows_tracebacks
from mailcli.errors import Interrupted, MailError
from mailcli.escape import terminal
from mailcli.utils.log import log_to_stderr, note_in_file
from mailcli.utils.signals import stop_signals_as_interrupt
from mailcli.utils.system_errors import check_open_files, explain, open_closed_streams


class _OneLineErrors(click.Group):
    """Reports Click's usage errors in one line, like all other errors: what is wrong, and where the help is."""

    def make_context(self, info_name: str | None, *args: Any, **kwargs: Any) -> click.Context:
        with _usage_errors_in_one_line(lambda: info_name or ""):
            return super().make_context(info_name, *args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_errors_in_one_line(lambda: f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip()):
            return super().invoke(ctx)


@contextmanager
def _usage_errors_in_one_line(command: Callable[[], str]) -> Iterator[None]:
    """Turn Click's usage errors into MailErrors.

    Args:
        command: names the command of an error that does not know its own.
    """
    try:
        yield
    except NoArgsIsHelpError:
        # A group without a command shows its help.
        raise
    except click.UsageError as error:
        message = error.format_message()
        end = "" if message.endswith((".", "?")) else "."
        path = error.ctx.command_path if error.ctx else command()
        raise MailError(f"{message}{end} Try '{path} --help'.") from error


@contextmanager
def _system_errors_in_one_line() -> Iterator[None]:
    """Turn errors of the operating system into MailErrors, except for those that are faults of the program."""
    try:
        yield
    except OSError as error:
        raise (explain(error) or error) from error


@contextmanager
def _interruptions_in_one_line() -> Iterator[None]:
    """Turn Ctrl-C into its line and exit code."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(str(error) or "Interrupted.") from None


@contextmanager
def _errors_in_log_file() -> Iterator[None]:
    """Let the file of --log end as stderr does: with the error, or with the traceback of a bug."""
    try:
        yield
    except click.ClickException as error:
        note_in_file(logging.ERROR, error.message)
        raise
    except (click.exceptions.Exit, click.Abort):
        # `--help`, or a question that was not answered.
        raise
    except Exception as error:
        note_in_file(logging.CRITICAL, f"{type(error).__name__}: {error}", error)
        raise


@contextmanager
def _tracebacks_shown(ctx: click.Context) -> Iterator[None]:
    """With --debug, show how an error came about, and what caused it, before its line."""
    try:
        yield
    except MailError as error:
        if shows_tracebacks(ctx):
            text = click.unstyle("".join(traceback.format_exception(error)))
            click.echo(terminal(text, kept="\n"), err=True, nl=False)
        raise


def _escape_what_cannot_be_written() -> None:
    """Names of fields or files may have characters that the terminal's encoding lacks: write these as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _check_current_folder() -> None:
    """Refuse to work in a folder that is no longer there (MailError): paths begin there."""
    try:
        os.getcwd()
    except OSError as error:
        raise MailError(
            f"the current folder cannot be read ({error.strerror}). Change to one that exists, e.g. with `cd`, and run "
            "the same command again."
        ) from error


class _Group(_OneLineErrors):
    """All commands. Ctrl-C, and what the machine lacks or refuses, end in one line as well."""

    def make_context(self, info_name: str | None, *args: Any, **kwargs: Any) -> click.Context:
        if open_closed_streams():
            raise MailError("stdout is closed, so the output would be lost. Write it to a file or to /dev/null.")
        log_to_stderr()
        _escape_what_cannot_be_written()
        with _interruptions_in_one_line(), _system_errors_in_one_line():
            return super().make_context(info_name, *args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        check_open_files()
        _check_current_folder()
        with (
            _errors_in_log_file(),
            _tracebacks_shown(ctx),
            _interruptions_in_one_line(),
            stop_signals_as_interrupt(),
            _system_errors_in_one_line(),
        ):
            return super().invoke(ctx)


@click.group("mail", cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mail")
def main() -> None:
    """Cold-start recommendation experiments with MAIL (CIKM 2021).

    \b
    mail preprocess ml-100k          download and prepare a dataset
    mail compare --seeds 3           the paper's Table 2 on it
    mail ablate --seeds 3            the paper's Table 3
    mail run experiments/FILE.toml   a whole experiment
    mail models                      rankers and cold-start methods
    """


def _add_commands() -> None:
    """Add the command of each file in this folder; -v, -q and --debug work with every command and before its name."""
    for path in sorted(Path(__file__).parent.glob("[!_.]*.py")):
        command: click.Command = getattr(importlib.import_module(f"mailcli.cli.{path.stem}"), path.stem)
        main.add_command(command)
        subcommands = command.commands.values() if isinstance(command, click.Group) else ()
        for parser in (command, *subcommands):
            parser.params += VERBOSITY
    main.params += VERBOSITY


_add_commands()
