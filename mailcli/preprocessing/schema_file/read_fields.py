"""The fields of a schema file: `name = COLUMN`, or a table that says how the column's values become ids."""

from __future__ import annotations

import re
from itertools import pairwise

from mailcli.data.derivations import CLOCKS
from mailcli.errors import quoted
from mailcli.preprocessing.schema_file.definition import (
    DEFAULT_MAX_VALUES,
    LIST_LIMIT,
    MAX_QUANTILES,
    ColumnRef,
    FieldDefinition,
    FieldKind,
)
from mailcli.preprocessing.schema_file.toml_table import TomlTable

#: Field names are also column names in the dataset, in SQL and in the pipeline's own tables.
_LONGEST_NAME = 100
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{_LONGEST_NAME - 1}}}")
#: Column names that the pipeline uses itself.
RESERVED = {
    "user", "item", "time", "action", "click", "conversion", "split", "fault", "line", "bucket", "row", "item_row",
    "raw", "offsets", "history_end", "broken", "last", "known", "impressions", "file", "rows",
}  # fmt: skip
#: Keys that make a field one of a certain kind; without any it is a category.
_KIND_KEYS: dict[str, FieldKind] = {
    "separator": "list", "list": "list", "extract_all": "list", "edges": "bucket", "quantiles": "bucket",
    "dense": "dense", "clock": "clock",
}  # fmt: skip


def read_fields(table: TomlTable, key: str, kinds: set[FieldKind]) -> tuple[FieldDefinition, ...]:
    """The fields of a table in their order; a field whose kind is not among `kinds` is a fault."""
    inner = table.table(key)
    return tuple(_read_field(inner, name, kinds) for name in inner.values)


def _read_field(table: TomlTable, name: str, kinds: set[FieldKind]) -> FieldDefinition:
    key = table.path(name)
    is_behavior_item = table.name == "behaviors.fields" and name == "item"
    if not _NAME.fullmatch(name):
        expected = f"a name of up to {_LONGEST_NAME} lower-case letters, digits and '_' that begins with a letter"
        table.fault(name, expected, with_value=False)
    elif name in RESERVED and not is_behavior_item:
        table.fault(name, "another name: mail has a column of this name itself", with_value=False)
    if not isinstance(table.get(name), dict):
        return FieldDefinition(name, key, ColumnRef(table.string(name, required=True)), "category", name)
    inner = table.table(name)
    clock = inner.choice("clock", CLOCKS, "")
    column = ColumnRef(inner.string("column", required=inner.get("clock") is None), inner.regex("extract"))
    kind_keys = [key for key in _KIND_KEYS if inner.get(key) is not None and inner.get(key) is not False]
    kind = _KIND_KEYS[kind_keys[0]] if kind_keys else "category"
    edges = inner.numbers("edges")
    field = FieldDefinition(
        name,
        key,
        column,
        kind,
        inner.string("vocabulary", name),
        separator=inner.string("separator", ""),
        extract_all=inner.regex("extract_all"),
        clock=clock,
        max_values=int(inner.number("most", DEFAULT_MAX_VALUES, whole=True)) if kind == "list" else 1,
        edges=edges,
        quantiles=int(inner.number("quantiles", 0, whole=True)),
    )
    inner.flag("list")
    inner.flag("dense")
    _check_field(inner, table.name, field, kind_keys, kinds)
    inner.check_unknown_keys()
    return field


def _check_field(
    table: TomlTable, group: str, field: FieldDefinition, kind_keys: list[str], kinds: set[FieldKind]
) -> None:
    """Faults of a field's keys together, and of their values."""
    if field.clock and field.column.name:
        table.fault("column", "no column with 'clock': the field is derived from the time")
    if len(kind_keys) > 1:
        table.fault(kind_keys[1], f"either '{kind_keys[0]}' or '{kind_keys[1]}', not both")
    elif field.kind not in kinds:
        allowed = sorted(key for key, kind in _KIND_KEYS.items() if kind in kinds)
        table.fault(kind_keys[0], f"another kind of field: {group} may have {quoted(allowed)}")
    if any(low >= high for low, high in pairwise(field.edges)) or ("edges" in kind_keys and not field.edges):
        table.fault("edges", "numbers in ascending order")
    if "quantiles" in kind_keys and group not in {"users.attributes", "items.features"}:
        table.fault("quantiles", "'edges': only fields of users and items can have quantiles")
    elif "quantiles" in kind_keys and not 2 <= field.quantiles <= MAX_QUANTILES:
        table.fault("quantiles", f"a whole number from 2 to {MAX_QUANTILES}")
    if field.kind == "list" and not 2 <= field.max_values <= LIST_LIMIT:
        table.fault("most", f"a whole number from 2 to {LIST_LIMIT}")
    if not _NAME.fullmatch(field.vocabulary):
        table.fault("vocabulary", "a name of lower-case letters, digits and '_'")
