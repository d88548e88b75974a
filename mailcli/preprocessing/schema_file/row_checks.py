"""What makes a row of a schema file's tables unusable, and how the schema file may mend it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from mailcli.preprocessing.schema_file.definition import LATEST, UNITS, RuleMap, TimeMap


@dataclass(frozen=True)
class Check:
    """What a row must hold."""

    columns: tuple[str, ...]
    expected: str
    wrong: str
    """In SQL, true of a row that cannot be used."""
    tip: Callable[[str], str] | None = None
    """What of the schema file may mend it, by the value of the first column."""


def rule_tip(rule: RuleMap, value: str) -> str:
    """The label may be written otherwise."""
    return f"; or {rule.key} = {{column = {json.dumps(rule.column)}, equals = {json.dumps(value)}}}" if value else ""


def time_tip(time: TimeMap, value: str) -> str:
    """The time may be of another unit, or a text."""
    if time.format:
        return ""
    try:
        number = float(value)
    except ValueError:
        dated = any(each.isdigit() for each in value)
        return '; or a format such as "%Y-%m-%d %H:%M:%S", if it is a text' if dated else ""
    units = [unit for unit, count in UNITS.items() if count > UNITS[time.unit] and 0 <= number < LATEST * count]
    return f'; or unit = "{units[0]}"' if units and number >= LATEST * UNITS[time.unit] else ""


def as_told(line: str, wanted: Collection[str]) -> str:
    """A line with bytes that are no UTF-8 as it is among `wanted`: DuckDB put a '?' for each, and for others."""
    if line.isascii() or not any("\udc80" <= each <= "\udcff" for each in line):
        return line
    held = line.encode("utf-8", "surrogateescape")
    for other in wanted:
        told = other.encode()
        if len(told) == len(held) and all(mine in {theirs, ord("?")} for mine, theirs in zip(told, held, strict=True)):
            return other
    return line
