"""The keys of a schema file that turn columns into ids, times, labels and actions."""

from __future__ import annotations

import re

from mailcli.data.derivations import HOUR
from mailcli.preprocessing.schema_file.definition import (
    COMPARISONS,
    MAX_ACTIONS,
    UNITS,
    ActionDefinition,
    ColumnRef,
    RuleDefinition,
    TimeDefinition,
)
from mailcli.preprocessing.schema_file.toml_table import TomlTable

_UTC_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def read_column(table: TomlTable, key: str, required: bool = True) -> ColumnRef:
    """A column name, or `{column = NAME, extract = REGEX}`."""
    if not isinstance(table.get(key), dict):
        return ColumnRef(table.string(key, required=required))
    inner = table.table(key)
    column = ColumnRef(inner.string("column", required=True), inner.regex("extract"))
    inner.check_unknown_keys()
    return column


def read_time(table: TomlTable, offset: int = 0) -> TimeDefinition | None:
    """`time`: a column of seconds, or `{column = NAME, unit = "ms"}`; None if it is missing.

    Args:
        table: the table that contains it.
        offset: seconds by which local time is ahead of UTC, unless `utc_offset` is given.
    """
    if not isinstance(table.get("time"), dict):
        name = table.string("time", "")
        return TimeDefinition(ColumnRef(name), offset=offset) if name else None
    inner = table.table("time")
    column = ColumnRef(inner.string("column", required=True), inner.regex("extract"))
    unit, time_format = inner.choice("unit", tuple(UNITS), ""), inner.string("format", "")
    if unit and time_format:
        inner.fault("unit", "either 'unit' (for numbers) or 'format' (for text), not both")
    offset = _utc_offset(inner) if "utc_offset" in inner.values else offset
    inner.check_unknown_keys()
    return TimeDefinition(column, unit or "s", time_format, offset)


def _utc_offset(table: TomlTable) -> int:
    match = _UTC_OFFSET.fullmatch(table.string("utc_offset"))
    if not match or int(match[2]) > 14 or int(match[3]) > 59:
        table.fault("utc_offset", "hours and minutes such as '+08:00'")
        return 0
    return int(f"{match[1]}1") * (int(match[2]) * HOUR + int(match[3]) * 60)


def read_rule(table: TomlTable, key: str, required: bool = False) -> RuleDefinition | None:
    """A column of 0/1 or true/false, or a comparison such as `{column = NAME, at_least = 4}`."""
    value = table.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, dict):
        return RuleDefinition(table.path(key), table.string(key, required=required))
    return _comparison(table.table(key))


def _comparison(table: TomlTable) -> RuleDefinition:
    column = table.string("column", required=True)
    comparisons = [name for name in (*COMPARISONS, "equals", "one_of") if table.get(name) is not None]
    numbers = {name: table.number(name, 0.0) for name in COMPARISONS}
    equals = table.get("equals")
    keys = ("one_of",) if isinstance(equals, bool) else ("equals", "one_of")
    values = tuple(value for key in keys for value in table.strings_or_whole_numbers(key))
    table.check_unknown_keys()
    if len(comparisons) > 1:
        table.fault(comparisons[1], f"a single comparison, but there is also '{comparisons[0]}'")
    if not comparisons or isinstance(equals, bool):
        return RuleDefinition(table.name, column, holds_if=equals is not False)
    comparison = comparisons[0] if comparisons[0] in COMPARISONS else "one_of"
    return RuleDefinition(table.name, column, comparison, float(numbers.get(comparison, 0.0)), values)


def read_rules(table: TomlTable, key: str) -> tuple[RuleDefinition, ...]:
    """`where`: a rule, or a list of rules that must all hold."""
    rules = table.get(key)
    if isinstance(rules, list):
        paths = [table.path(f"{key}[{number}]") for number in range(len(rules))]
        return tuple(
            RuleDefinition(path, rule)
            if isinstance(rule, str) and rule
            else _comparison(TomlTable(rule, path, table.faults))
            for path, rule in zip(paths, rules, strict=True)
        )
    rule = read_rule(table, key)
    return (rule,) if rule else ()


def read_action(table: TomlTable) -> ActionDefinition:
    """`action`: `{constant = NAME}`, `{column = NAME, values = [...]}`, or `{rules = {NAME = RULE, ...}}`."""
    if table.get("action") is None:
        return ActionDefinition(("behavior",))
    inner = table.table("action")
    column, constant, names = inner.string("column", ""), inner.string("constant", ""), inner.strings("values")
    rules = _action_rules(inner)
    inner.check_unknown_keys()
    if [bool(column), bool(constant), bool(rules)].count(True) != 1:
        inner.fault("", "{constant = NAME}, {column = NAME, values = [...]} or {rules = {NAME = RULE, ...}}")
    elif rules:
        return ActionDefinition(tuple(rules), rules=tuple(rules.values()))
    elif column and not 1 <= len(names) <= MAX_ACTIONS:
        inner.fault("values", f"1 to {MAX_ACTIONS} actions that the column may contain")
    elif len(set(names)) != len(names):
        inner.fault("values", "distinct actions")
    return ActionDefinition(names if column else (constant,), column)


def _action_rules(table: TomlTable) -> dict[str, RuleDefinition]:
    """The rule for each action by its name; empty if `rules` is missing."""
    if table.get("rules") is None:
        return {}
    inner = table.table("rules")
    if len(inner.values) > MAX_ACTIONS:
        table.fault("rules", f"1 to {MAX_ACTIONS} actions", with_value=False)
    rules = {name: read_rule(inner, name, required=True) for name in inner.values}
    return {name: rule for name, rule in rules.items() if rule}
