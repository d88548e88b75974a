"""The table `simulate` of an experiment's file, and its faults."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, fields

from mailcli.config import Options
from mailcli.simulation.world import LEAST_USERS, MOST_USERS, Settings
from mailcli.utils.validation import NUMBER, Rule, table_faults, whole_number

#: What the value of a setting must be, by its type in `Settings`, which knows the limits of numbers.
_RULES_BY_TYPE = {
    "int": whole_number(0),
    "float": NUMBER,
    "bool": Rule("true or false", lambda value: isinstance(value, bool)),
}
_RULES = {field.name: _RULES_BY_TYPE[str(field.type)] for field in fields(Settings)}
_RULES["users"] = whole_number(LEAST_USERS, MOST_USERS)


def simulator_settings(simulate: Options) -> Options:
    """The simulator's settings in the table: all but the dataset's name."""
    return {key: value for key, value in simulate.items() if key != "name"}


def simulation_faults(simulate: Options, grid: Collection[str] = ()) -> list[str]:
    """Unknown keys, values of another type, and required settings that are missing.

    Args:
        simulate: the table.
        grid: the settings of which the table `grid` has lists.
    """
    required = [field.name for field in fields(Settings) if field.default is MISSING and field.name not in grid]
    return table_faults(simulator_settings(simulate), _RULES, "simulate.", required=required)
