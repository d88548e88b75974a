"""The tables of a schema file on the files that were located."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mailcli.data.derivations import DAY, DAYS_PER_WEEK, HOUR
from mailcli.preprocessing.duckdb_sql import literal
from mailcli.preprocessing.schema_file.copies import with_copies
from mailcli.preprocessing.schema_file.definition import ColumnRef, FieldDefinition, SchemaFile, TimeDefinition
from mailcli.preprocessing.schema_file.file_checks import file_faults, named_columns, splits_of_file
from mailcli.preprocessing.schema_file.locate import LocatedFiles, files_of, locate, missing_values
from mailcli.preprocessing.schema_file.raw_file import RowCheck
from mailcli.preprocessing.schema_file.table import SqlTable

#: The column of the impressions with the split's code, and the prefixes of their columns for users and items.
SPLIT, USER, ITEM = "split.code", "users.", "items."
#: The column of lists of behaviors with the time of their impression.
TIME = "impressions.time"
#: The column of the impressions with a number from 0 to 1, a hash of the row.
DRAW = "split.draw"


class SchemaTables:
    """The files of a schema file and the tables in them.

    Args:
        schema: the checked schema file.
        raw: the raw folder.
        faults: the list to which the faults of the files are added.
    """

    def __init__(self, schema: SchemaFile, raw: Path, faults: list[str]) -> None:
        self.schema = schema
        self.raw = raw
        tables = [schema.users, schema.items, schema.behaviors, schema.impressions]
        tables += [schema.join.files] if schema.join else []
        self.files: dict[str, LocatedFiles | None] = {
            table.role: locate(table, raw, faults) for table in tables if table.patterns
        }
        faults += file_faults(schema, self.files, raw, faults)
        named = named_columns(schema)
        self.files = {role: files and replace(files, named=named) for role, files in self.files.items()}

    def make_copies(self, folder: Path) -> None:
        """Copy the files in encodings that DuckDB does not read."""
        self.files = {role: files and with_copies(files, folder) for role, files in self.files.items()}

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, each once."""
        return tuple(dict.fromkeys(path for files in self.files.values() if files for path in files.paths))

    def splits_of(self, path: Path) -> list[int]:
        """The codes of the splits whose patterns match a file of the impressions."""
        return splits_of_file(self.schema.split, path, self.raw)

    def files_of(self, role: str) -> LocatedFiles | None:
        """The files of a table; those of the impressions if it has none of its own."""
        return files_of(self.schema, self.files, role)

    def missing_values(self, role: str, column: str) -> Sequence[str]:
        """What stands for a missing value in a column of a table."""
        files = self.files_of(role)
        assert files is not None
        return missing_values(column, files, self._joined_to(files))

    def _joined_to(self, files: LocatedFiles) -> LocatedFiles | None:
        """The files that are joined to those of the impressions."""
        return self.files.get("join") if files is self.files["impressions"] else None

    def _table(self, role: str) -> SqlTable:
        """A table without any columns yet, on the files of a role."""
        files = self.files_of(role)
        assert files is not None
        joined = self._joined_to(files)
        on = self.schema.join.on if self.schema.join and joined else ""
        return SqlTable(files, self.schema.integers, joined, on=on)

    def users(self) -> SqlTable:
        """The users' own files."""
        schema = self.schema
        return self._entities("users", "user", schema.user_key or schema.user, schema.attributes)

    def items(self) -> SqlTable:
        """The items' own files."""
        schema = self.schema
        return self._entities("items", "item", schema.item_key or schema.item, schema.features)

    def _entities(self, role: str, key: str, column: ColumnRef, fields: Sequence[FieldDefinition]) -> SqlTable:
        table = self._table(role)
        table.add_key(key, column)
        for field in fields:
            table.add_field(field)
        return table

    def impressions(self) -> SqlTable:
        """The impressions, with the fields of users and items that are in their files."""
        schema = self.schema
        table = self._table("impressions")
        table.add_key("user", schema.user)
        table.add_key("item", schema.item)
        table.values["time"] = "0::BIGINT"
        if schema.time:
            table.add_time(schema.time)
        self._add_labels(table)
        for field in schema.context:
            if field.kind == "clock":
                table.values[field.name] = _clock(field.clock, table.values["time"], schema.time)
            else:
                table.add_field(field, field.edges)
        if schema.split.by == "column":
            self._add_split(table)
        if schema.split.by in {"column", "file"}:
            table.values[DRAW] = f"(md5_number_lower({table.line()}) % 1000000)::DOUBLE / 1000000"
        for prefix, files, fields in (
            (USER, schema.users, schema.attributes),
            (ITEM, schema.items, schema.features),
        ):
            if not files.patterns:
                self._add_prefixed(table, fields, prefix)
        table.conditions += [table.rule(rule) for rule in schema.impressions_where]
        return table

    def _add_labels(self, table: SqlTable) -> None:
        """Click and conversion; a conversion without a click is a fault."""
        schema = self.schema
        click = table.rule(schema.click)
        table.values["click"] = f"{click}::INTEGER"
        if schema.conversion:
            conversion = table.rule(schema.conversion)
            table.values["conversion"] = f"{conversion}::INTEGER"
            columns = tuple(dict.fromkeys((schema.click.column, schema.conversion.column)))
            is_wrong = f"{conversion} AND NOT {click}"
            table.checks.append(RowCheck(columns, "no conversion without a click", is_wrong))

    def _add_split(self, table: SqlTable) -> None:
        """The code of the split that a column names."""
        split = self.schema.split
        codes = enumerate((split.train, split.validation, split.test))
        _add_code(table, SPLIT, split.column, {name: code for code, names in codes for name in names})

    @staticmethod
    def _add_prefixed(table: SqlTable, fields: Sequence[FieldDefinition], prefix: str) -> None:
        """Fields of users or items, under prefixed names."""
        values = dict(table.values)
        prefixed = {}
        for field in fields:
            table.add_field(field)
            prefixed[prefix + field.name] = table.values.pop(field.name)
        table.values = {**values, **prefixed}

    def behaviors(self) -> SqlTable:
        """The behaviors."""
        schema = self.schema
        table = self._table("behaviors")
        table.add_key("user", schema.behavior_user)
        if schema.behavior_time:
            table.add_time(schema.behavior_time)
        self._add_action(table)
        for field in schema.behavior_fields:
            table.add_field(field, field.edges, ordered=True)
        if schema.behavior_time is None:
            self._check_lengths(table)
            if self.files_of("behaviors") is self.files["impressions"]:
                self._add_order(table)
        table.conditions += [table.rule(rule) for rule in schema.behaviors_where]
        return table

    def _add_order(self, table: SqlTable) -> None:
        """What says which of several lists of a user is taken: its impression's time, or its split."""
        schema = self.schema
        if schema.takes_first_list and schema.time:
            table.add_time(schema.time)
            table.values[TIME] = table.values.pop("time")
        elif schema.split.by == "column":
            self._add_split(table)

    def _add_action(self, table: SqlTable) -> None:
        """The action's index into the schema's actions."""
        action = self.schema.action
        if action.rules:
            holds = [table.rule(rule) for rule in action.rules]
            cases = " ".join(f"WHEN {sql} THEN {code}" for code, sql in reversed(list(enumerate(holds))))
            table.values["action"] = f"(CASE {cases} END)::INTEGER"
            table.conditions.append(" OR ".join(holds))
            return
        if not action.column:
            table.values["action"] = "0"
            return
        codes = {name: code for code, name in enumerate(action.names)}
        _add_code(table, "action", action.column, codes, partial(_action_hint, action.column, action.names))

    def _check_lengths(self, table: SqlTable) -> None:
        """Several lists of behaviors in a row must have the same length."""
        fields = self.schema.behavior_fields
        if len(fields) > 1:
            lengths = [f"coalesce(len({table.values[field.name]}), 0)" for field in fields]
            longest = f"greatest({', '.join(lengths)})"
            # An empty text is not a list, or that of one missing value.
            differ = [
                f"({length} <> {longest} AND ({table.values[field.name]} IS NOT NULL OR {longest} > 1))"
                if field.separator
                else f"{length} <> {longest}"
                for field, length in zip(fields, lengths, strict=True)
            ]
            is_wrong = " OR ".join(differ)
            columns = tuple(field.column.name for field in fields)
            table.checks.append(RowCheck(columns, "lists of the same length", is_wrong))


def _action_hint(column: str, actions: Sequence[str], value: str) -> str:
    """Other actions may be meant to be left out."""
    del value
    texts = ", ".join(json.dumps(action, ensure_ascii=False) for action in actions)
    rule = f"{{column = {json.dumps(column, ensure_ascii=False)}, one_of = [{texts}]}}"
    return f"; or behaviors.where = {rule}, which leaves other rows out"


def _add_code(
    table: SqlTable, name: str, column: str, codes: Mapping[str, int], hint: Callable[[str], str] | None = None
) -> None:
    """A column with a number for each of a few values; any other value is a fault. 1.0 counts as 1 unless listed."""
    text = table.text(ColumnRef(column))
    cases = " ".join(f"WHEN {literal(value)} THEN {code}" for value, code in codes.items())
    sql = f"coalesce(CASE {text} {cases} END, CASE {table.whole(column, text)} {cases} END)::INTEGER"
    table.values[name] = sql
    table.checks.append(RowCheck((column,), f"one of {', '.join(map(repr, codes))}", f"{sql} IS NULL", hint))


def local_time_sql(time: str, offset: int) -> str:
    """SQL for a time in seconds of local time, plus a week: SQL would round a negative number the other way."""
    return f"({time} + {offset + DAYS_PER_WEEK * DAY})"


def _clock(clock: str, time: str, definition: TimeDefinition | None) -> str:
    """The hour of the day, or the day of the week counted from Thursday, 1970-01-01, in local time."""
    local = local_time_sql(time, definition.offset if definition else 0)
    value = f"{local} % {DAY} // {HOUR}" if clock == "hour" else f"{local} // {DAY} % {DAYS_PER_WEEK}"
    return f"({value})::INTEGER"
