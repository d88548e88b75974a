"""The one kind of error a user may cause, and the help to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import IO, Any

import click


class MailError(click.ClickException):
    """A fault of the input: printed as one line on stderr, exit code 2, never a traceback.

    The message names the file, row or key, what was found, what was expected and how to mend it.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Interrupted(click.ClickException):
    """Ctrl-C, once what was done is kept: printed as it is on stderr."""

    #: 128 + SIGINT, as shells have it.
    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message alone."""
        click.echo(self.message, file=file, err=file is None)


def nearest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'dmr'?"` for the known name most like `name`, or an empty string."""
    spelt = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(spelt), n=1, cutoff=0.5)
    return f" Did you mean '{spelt[close[0]]}'?" if close else ""


def choices(names: Iterable[str]) -> str:
    """`'a', 'b'` for an error text."""
    return ", ".join(f"'{name}'" for name in names)
