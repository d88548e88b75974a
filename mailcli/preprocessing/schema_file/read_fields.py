"""The keys of a schema file that say how a column's values become ids, times, labels and actions."""

from __future__ import annotations

import re
from itertools import pairwise

from mailcli.errors import quoted
from mailcli.preprocessing.schema_file.definition import (
    CLOCKS,
    COMPARISONS,
    MOST,
    MOST_ACTIONS,
    MOST_QUANTILES,
    UNITS,
    ActionMap,
    FieldMap,
    Kind,
    Place,
    RuleMap,
    TimeMap,
)
from mailcli.preprocessing.schema_file.toml_table import Section

#: Fields are columns of the dataset, of SQL and of the pipeline's own tables.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
RESERVED = {
    "user", "item", "time", "action", "click", "conversion", "split", "fault", "line", "bucket", "row", "item_row",
    "raw", "offsets", "history_end", "broken", "last", "known", "impressions", "file",
}  # fmt: skip


def read_place(section: Section, key: str, required: bool = True) -> Place:
    """A column's name, or `{column = NAME, extract = REGEX}`."""
    value = section.peek(key)
    if not isinstance(value, dict):
        return Place(section.text(key, required=required))
    inner = section.section(key)
    place = Place(inner.text("column", required=True), inner.regex("extract"))
    inner.done()
    return place


def read_time(section: Section, offset: int = 0) -> TimeMap | None:
    """`time`: a column of seconds, or `{column = NAME, unit = "ms"}`; None where it is missing.

    Args:
        section: the table that has it.
        offset: seconds that local time is ahead of UTC, unless `utc_offset` says so.
    """
    value = section.peek("time")
    if not isinstance(value, dict):
        column = section.text("time", "")
        return TimeMap(Place(column), offset=offset) if column else None
    inner = section.section("time")
    place = Place(inner.text("column", required=True), inner.regex("extract"))
    unit, form = inner.choice("unit", tuple(UNITS), ""), inner.text("format", "")
    if unit and form:
        inner.fault("unit", "not both 'unit', of a number, and 'format', of a text")
    offset = _offset(inner) if "utc_offset" in inner.given else offset
    inner.done()
    return TimeMap(place, unit or "s", form, offset)


def _offset(section: Section) -> int:
    text = section.text("utc_offset")
    match = _OFFSET.fullmatch(text)
    if not match or int(match[2]) > 14 or int(match[3]) > 59:
        section.fault("utc_offset", "hours and minutes such as '+08:00'")
        return 0
    return int(f"{match[1]}1") * (int(match[2]) * 3600 + int(match[3]) * 60)


def read_rule(section: Section, key: str, required: bool = False) -> RuleMap | None:
    """A column of 0 and 1 or true and false, or `{column = NAME, at_least = 4}`."""
    value = section.peek(key)
    if value is None and not required:
        return None
    if not isinstance(value, dict):
        return RuleMap(section.path(key), section.text(key, required=required))
    return _compared(section.section(key))


def _compared(inner: Section) -> RuleMap:
    column = inner.text("column", required=True)
    given = [name for name in (*COMPARISONS, "equals", "one_of") if inner.peek(name) is not None]
    numbers = {name: inner.number(name, 0.0) for name in COMPARISONS}
    truth = inner.peek("equals")
    texts = (*(() if isinstance(truth, bool) else inner.texts("equals")), *inner.texts("one_of"))
    inner.done()
    if len(given) > 1:
        inner.fault(given[1], f"one comparison, and '{given[0]}' is another")
    if not given or isinstance(truth, bool):
        return RuleMap(inner.name, column, holds=truth is not False)
    kind = given[0] if given[0] in COMPARISONS else "one_of"
    return RuleMap(inner.name, column, kind, float(numbers.get(kind, 0.0)), texts)


def read_rules(section: Section, key: str) -> tuple[RuleMap, ...]:
    """`where`: a rule, or a list of rules that must all hold."""
    value = section.peek(key)
    if isinstance(value, list):
        return tuple(_compared(inner) for inner in section.sections(key))
    rule = read_rule(section, key)
    return (rule,) if rule else ()


def read_action(section: Section) -> ActionMap:
    """`action`: `{constant = NAME}`, or `{column = NAME, values = [...]}`."""
    value = section.peek("action")
    if value is None:
        return ActionMap(("behavior",))
    inner = section.section("action")
    column, constant, names = inner.text("column", ""), inner.text("constant", ""), inner.texts("values")
    inner.done()
    if bool(column) == bool(constant):
        inner.fault("", "{constant = NAME}, or {column = NAME, values = [...]}")
    elif column and not 1 <= len(names) <= MOST_ACTIONS:
        inner.fault("values", f"1 to {MOST_ACTIONS} actions that the column may hold")
    elif len(set(names)) != len(names):
        inner.fault("values", "actions that differ")
    return ActionMap(names if column else (constant,), column)


def read_fields(section: Section, key: str, kinds: set[Kind]) -> tuple[FieldMap, ...]:
    """The fields of a table in their order; those that are of no kind allowed there are noted."""
    inner = section.section(key)
    found = [_field(inner, name, kinds) for name in inner.given]
    return tuple(each for each in found if each)


def _field(section: Section, name: str, kinds: set[Kind]) -> FieldMap | None:
    """`name = COLUMN`, or a table of how the column's values become ids."""
    key = section.path(name)
    own = section.name == "behaviors.fields" and name == "item"
    if not _NAME.fullmatch(name) or (name in RESERVED and not own):
        section.fault(name, "a name of lower-case letters, digits and '_' that has no meaning of its own", found="name")
    if not isinstance(section.peek(name), dict):
        return FieldMap(name, key, Place(section.text(name, required=True)), "category", name)
    inner = section.section(name)
    clock = inner.choice("clock", CLOCKS, "")
    place = Place(inner.text("column", required=inner.peek("clock") is None), inner.regex("extract"))
    ways: dict[str, Kind] = {
        "separator": "list", "list": "list", "extract_all": "list", "edges": "bucket", "quantiles": "bucket",
        "dense": "dense", "clock": "clock",
    }  # fmt: skip
    used = [way for way in ways if inner.peek(way) is not None and inner.peek(way) is not False]
    edges = inner.numbers("edges")
    made = FieldMap(
        name,
        key,
        place,
        ways[used[0]] if used else "category",
        inner.text("vocabulary", name),
        separator=inner.text("separator", ""),
        extract_all=inner.regex("extract_all"),
        clock=clock,
        most=int(inner.number("most", MOST, whole=True)) if used and ways[used[0]] == "list" else 1,
        edges=edges,
        quantiles=int(inner.number("quantiles", 0, whole=True)),
    )
    inner.flag("list")
    inner.flag("dense")
    if clock and place.column:
        inner.fault("column", "nothing beside 'clock': it is made of the time")
    if len(used) > 1:
        inner.fault(used[1], f"nothing beside '{used[0]}': a field is one or the other")
    elif made.kind not in kinds:
        known = sorted(way for way in ways if ways[way] in kinds)
        inner.fault(used[0], f"another kind of field: {section.name} may have {quoted(known)}")
    if any(low >= high for low, high in pairwise(edges)) or ("edges" in used and not edges):
        inner.fault("edges", "numbers in ascending order")
    if "quantiles" in used and (section.name not in {"users.attributes", "items.features"}):
        inner.fault("quantiles", "'edges': quantiles are those of training users or items alone")
    elif "quantiles" in used and not 2 <= made.quantiles <= MOST_QUANTILES:
        inner.fault("quantiles", f"a whole number from 2 to {MOST_QUANTILES}")
    if made.kind == "list" and not 1 <= made.most <= 1000:
        inner.fault("most", "a whole number from 1 to 1000")
    if not _NAME.fullmatch(made.vocabulary):
        inner.fault("vocabulary", "a name of lower-case letters, digits and '_'")
    inner.done()
    return made
