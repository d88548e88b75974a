"""What settings and the keys of TOML and JSON files must hold; every fault is reported at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from mailcli.errors import did_you_mean, quoted, shorten


class Rule(NamedTuple):
    """What a value must be."""

    expected: str
    """For error texts, e.g. `a whole number from 1 to 100`."""
    accepts: Callable[[Any], bool]
    choices: Collection[str] = ()
    """The allowed strings, if there are only a few."""


STRING = Rule("a string", lambda value: isinstance(value, str))
TABLE = Rule("a table", lambda value: isinstance(value, dict))


def whole_number(least: int, most: int | None = None) -> Rule:
    """A whole number within limits; `True` and `3.0` are not whole numbers."""
    if most is None:
        return Rule(f"a whole number, {least} or more", lambda value: type(value) is int and least <= value)
    return Rule(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def number_between(low: float, high: float, expected: str) -> Rule:
    """A number strictly between two limits, never NaN or infinite, that fits into a double."""
    return Rule(expected, lambda value: type(value) in {int, float} and is_finite(value) and low < value < high)


def number_from(low: float, high: float, expected: str) -> Rule:
    """A number between two limits or at one of them, never NaN or infinite, that fits into a double."""
    return Rule(expected, lambda value: type(value) in {int, float} and is_finite(value) and low <= value <= high)


def is_finite(value: float) -> bool:
    """Whether a number fits into a double, and is neither NaN nor infinite."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the doubles
        return False


NUMBER = number_between(-math.inf, math.inf, "a number")


def one_of(choices: Collection[str]) -> Rule:
    """One of a few strings."""
    return Rule(f"one of {quoted(choices)}", lambda value: isinstance(value, str) and value in choices, choices)


def table_faults(
    table: Mapping[str, Any],
    rules: Mapping[str, Rule],
    path: str = "",
    required: Collection[str] = (),
    other_keys: bool = False,
) -> list[str]:
    """One text for each fault of a table: unknown keys, missing keys, wrong values.

    Args:
        table: its keys and values.
        rules: what the value of each key must be.
        path: the table's own key, followed by a dot; empty for a whole file.
        required: the keys that must be present.
        other_keys: whether unknown keys are allowed.
    """
    unknown = [] if other_keys else [key for key in table if key not in rules]
    faults = [f"unknown key '{path}{key}'.{did_you_mean(key, rules)}" for key in unknown]
    faults += [f"'{path}{key}' is missing" for key in required if key not in table]
    for key, rule in rules.items():
        if key in table and not rule.accepts(table[key]):
            faults.append(fault(f"{path}{key}", table[key], rule))
    return faults


def fault(key: str, value: Any, rule: Rule) -> str:
    """`key = value: expected ...`, with a suggestion for a misspelled choice."""
    hint = did_you_mean(value, rule.choices) if isinstance(value, str) else ""
    return f"{key} = {shorten(value)}: expected {rule.expected}{'.' if hint else ''}{hint}"


def sentence(faults: Collection[str]) -> str:
    """The faults as one sentence."""
    text = "; ".join(faults)
    return text if text.endswith(("?", ".")) else f"{text}."
