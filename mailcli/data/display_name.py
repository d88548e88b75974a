"""A dataset's name as tables and results have it, so that simulated data never pass for real."""

from __future__ import annotations

from mailcli.errors import counted

_SIMULATED = " (simulated)"


def display_name(name: str, simulated: bool) -> str:
    """`tiny (simulated)`, or `ml-100k (real data)`."""
    return f"{name}{_SIMULATED if simulated else ' (real data)'}"


def worlds_name(number: int) -> str:
    """`24 worlds (simulated)`, for a grid of simulated datasets."""
    return display_name(counted(number, "world"), simulated=True)


def is_simulated(displayed: str) -> bool:
    """Whether a name that `display_name` made is that of simulated data."""
    return displayed.endswith(_SIMULATED)
