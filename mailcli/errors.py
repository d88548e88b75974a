"""The errors that a user can cause, and helpers for their texts."""

from __future__ import annotations

import difflib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click

from mailcli.escape import terminal, wrapped

#: Characters of a raw line or value that an error quotes (ours: enough to recognize it).
MAX_QUOTED = 100


class _OneLine(click.ClickException):
    """An error or interruption that is reported in one line, which a terminal shows broken between words."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it on stderr, or in a file."""
        text = self._line()
        click.echo(wrapped(text) if (file or sys.stderr).isatty() else text, file=file, err=file is None)

    def _line(self) -> str:
        return f"Error: {self.message}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self.message}"]


class MailError(_OneLine):
    """A fault in the input: one line on stderr, exit code 2, never a traceback.

    The message names the file, row or key, what was found, what was expected and how to fix it.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        # A library's message may have several lines.
        super().__init__(terminal(re.sub(r"\s*\n\s*", " ", message.strip())))


@contextmanager
def errors_at(place: str) -> Iterator[None]:
    """Within the block, the message of a MailError begins with a place: the file, row or option that it is about."""
    try:
        yield
    except MailError as error:
        raise MailError(f"{place}: {error.message}") from error


class DivergedError(MailError):
    """Training has diverged: a loss, gradient or score is not finite."""


class Interrupted(_OneLine):
    """Ctrl-C, after finished work was saved: the message on stderr, without `Error:`."""

    #: 128 + SIGINT, the shells' convention.
    exit_code = 130

    def _line(self) -> str:
        return terminal(self.message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'dmr'?"`, with the known name closest to `name`; empty if none is close."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    # In Python, a name may be of any type.
    close = difflib.get_close_matches(str(name).lower(), list(by_lower_case), n=1, cutoff=0.5)
    return f" Did you mean '{by_lower_case[close[0]]}'?" if close else ""


def option_as_key(message: str, prefix: str) -> str:
    """The message of an error about an option, with its name as a key: `--a-b` becomes `a_b`, after a prefix."""
    return re.sub(r"^--([a-z-]+)", lambda option: prefix + option[1].replace("-", "_"), message)


def counted(number: int, noun: str) -> str:
    """`1 run` or `1,234 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in the order of their first places."""
    return [name for name, count in Counter(names).items() if count > 1]


def quoted(names: Iterable[str]) -> str:
    """`'a', 'b'` for an error text."""
    return ", ".join(f"'{name}'" for name in names)


def quoted_first(names: Sequence[str], most: int) -> str:
    """`'a', 'b' and 1,234 more`: the first names, and how many there are beyond `most`."""
    more = len(names) - most
    return quoted(names[:most]) + (f" and {more:,} more" if more > 0 else "")


#: Characters of a value in an error text (ours: the message stays one line).
_LONGEST_VALUE = 60


def shorten(value: object) -> str:
    """`repr(value)` for an error text, cut to 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
