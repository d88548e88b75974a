"""What options are made of: the types of their values (a path, a share, minutes) and how they are put together.

Nothing slow is imported here: `mail --help` reads this module.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mailcli.errors import MailError
from mailcli.utils.path_names import path_fault

F = TypeVar("F", bound=Callable[..., Any])


class _PathType(click.Path):
    """A path whose name every library can take."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            # Otherwise the current folder, if a variable of the shell is not set.
            self.fail("the path is empty.", param, ctx)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        fault = path_fault(path)
        if fault:
            raise MailError(f"{path}: {fault}.")
        return path


#: The type of an option or argument that is a path.
PATH = _PathType()


def path_option(*names: str, text: str, default: str | None = None, **attributes: Any) -> Callable[[F], F]:
    """An option that takes a path; a default is shown in the help."""
    if default is not None:
        # Passed only if there is one: to click, None is a value, so that a required option would count as given.
        attributes |= {"default": Path(default), "show_default": True}
    return click.option(*names, type=PATH, help=text, **attributes)


class _Share(click.ParamType):
    """A share: `0.001` or `0.1%`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is not a share such as 0.001 or 0.1%.", param, ctx)
        return share


class Minutes(click.FloatRange):
    """0 or more minutes; NaN and infinity are refused, since no checkpoint would ever be due."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        minutes: float = super().convert(value, param, ctx)
        if not math.isfinite(minutes):
            self.fail(f"{value} is not a number of minutes.", param, ctx)
        return minutes


#: The type of an option that is a share.
SHARE = _Share()


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """A decorator that adds several options, which `--help` lists in the given order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add
