"""The table `grid` of an experiment's file, and its faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mailcli.config import Options
from mailcli.errors import MailError, did_you_mean, option_as_key, quoted, shorten
from mailcli.experiments.simulate_file import simulation_faults, simulator_settings
from mailcli.reporting.worlds import value_text
from mailcli.settings.class_code import trains_on_generated_behavior
from mailcli.simulation.world import Settings
from mailcli.utils.validation import is_finite

#: Keys of an experiment's file that are about one dataset.
_OF_ONE_DATASET = ("against", "reported", "tune", "tuned")
#: What the values of a setting are, by its type in `Settings`, and what TOML makes of them.
_KINDS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "int": ("whole numbers", (int,)),
    "float": ("numbers", (int, float)),
    "bool": ("true and false", (bool,)),
}


def grid_faults(content: Options, rows: Sequence[Options]) -> list[str]:
    """The faults of an experiment's table `grid`.

    Args:
        content: the whole file; its tables `grid` and `simulate` are tables.
        rows: the settings of its rows.
    """
    grid, simulate = content["grid"], content["simulate"]
    faults = [f"'grid' and '{key}' do not go together. Leave one out" for key in _OF_ONE_DATASET if content.get(key)]
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(Settings)}
    if not grid:
        faults.append(f"'grid' is empty: expected lists of values. Known: {quoted(kinds)}")
    methods = [row.get("cold_start", "none") for row in rows]
    # A method of another type is a fault of its row.
    are_names = all(isinstance(method, str) for method in methods)
    if are_names and not any(map(trains_on_generated_behavior, methods)):
        faults.append(
            "'grid' needs a row whose ranker is trained with generated behavior, e.g. 'MAIL-Base': its table is what "
            "that adds to the ranker"
        )
    for name, values in grid.items():
        if name not in kinds:
            faults.append(f"unknown key 'grid.{name}'.{did_you_mean(name, kinds)} Known: {quoted(kinds)}")
        elif name in simulate:
            faults.append(f"'grid.{name}' and 'simulate.{name}' set the same. Leave one out")
        elif not _is_list_of(values, kinds[name][1]):
            faults.append(f"grid.{name} = {shorten(values)}: expected a list of {kinds[name][0]}, each once")
    faults += simulation_faults(simulate, grid)
    return faults or _value_faults(grid, simulate)


def _is_list_of(values: Any, types: tuple[type, ...]) -> bool:
    """Whether a value is a list of different values of some types, one or more; never infinite or NaN."""
    if not isinstance(values, list) or not values or not all(type(value) in types for value in values):
        return False
    return all(map(is_finite, values)) and len(set(map(value_text, values))) == len(values)


def _value_faults(grid: Options, simulate: Options) -> list[str]:
    """What the simulator does not accept."""
    first = {name: values[0] for name, values in grid.items()}
    faults: dict[str, None] = {}
    for name, values in grid.items():
        for value in values:
            try:
                Settings(**simulator_settings({**simulate, **first, name: value}))
            except MailError as error:
                faults.setdefault(option_as_key(error.message.removesuffix("."), "'simulate' and 'grid': "))
    return list(faults)
