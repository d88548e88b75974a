"""The arguments of a call, checked: what a command line cannot get wrong, a script can."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_args

from mailcli.errors import MailError, shorten

#: An option of the command line in an error.
_OPTION = re.compile(r"(?<!\S)--([a-z]+(?:-[a-z]+)*)")
#: How a call gives a flag that errors say to add.
_FLAGS = {"overwrite": "overwrite=True"}


@contextmanager
def arguments_in_errors(*names: str) -> Iterator[None]:
    """Within the block, a MailError about options of the command line names the arguments of the call instead.

    Args:
        names: of the arguments.
    """

    def argument(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        return _FLAGS.get(name, name) if name in names else option[0]

    try:
        yield
    except MailError as error:
        parts = error.message.split("`")
        # Commands, which keep their options, are between backticks.
        parts[::2] = [_OPTION.sub(argument, part) for part in parts[::2]]
        message = "`".join(parts)
        if message == error.message:
            raise
        raise type(error)(message) from error


def as_path(name: str, value: object) -> Path:
    """A path, which may be given as text (MailError: it is neither, or empty)."""
    if not isinstance(value, str | os.PathLike) or value == "" or "\0" in str(value):
        raise MailError(f"{name} is {shorten(value)}. Expected a path.")
    return Path(value)


def as_kept_path(name: str, value: object) -> Path:
    """As `as_path`, of a folder that is used after the call: from the root, since the current folder may change."""
    return as_path(name, value).absolute()


def check_text(name: str, value: object) -> None:
    """Refuse anything that is not text, and empty text (MailError)."""
    if not isinstance(value, str) or not value:
        raise MailError(f"{name} is {shorten(value)}. Expected a string.")


def check_flags(**flags: object) -> None:
    """Refuse anything but True and False (MailError)."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise MailError(f"{name} is {shorten(value)}. Expected True or False.")


def check_count(name: str, value: object, most: int | None = None) -> None:
    """Refuse anything that is not a whole number from 1 to `most` (MailError)."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not 1 <= int(value) <= (most or int(value)):
        expected = f"a whole number from 1 to {most:,}" if most else "a whole number, 1 or more"
        raise MailError(f"{name} is {shorten(value)}. Expected {expected}.")


def check_minutes(value: Any) -> None:
    """Refuse a `checkpoint_minutes` that is not a number from 0 (MailError)."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= sys.float_info.max:
        raise MailError(f"checkpoint_minutes is {shorten(value)}. Expected a number of minutes, 0 or more.")


def as_type(name: str, value: Any, expected: Any) -> Any:
    """A value of a type or of one of several; paths may be given as text, floats as whole numbers.

    Raises:
        MailError: it has another type, or is an empty path.
    """
    if isinstance(value, str) and Path in get_args(expected):
        value = as_path(name, value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        # A whole number beyond all floats is of the wrong type.
        with suppress(OverflowError):
            value = float(value) if expected is float else int(value)
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        kinds = [kind.__name__ for kind in get_args(expected) or (expected,) if kind is not type(None)]
        raise MailError(f"{name} is {shorten(value)}. Expected a value of type {' or '.join(kinds)}.")
    return value
