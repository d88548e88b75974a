"""What the files lack of what the schema file asks for: columns, types of values, a split for each file."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import duckdb

from mailcli.preprocessing.duckdb_sql import literal
from mailcli.preprocessing.raw_file import relative_name
from mailcli.preprocessing.schema_file.definition import ColumnRef, SchemaFile, SplitDefinition
from mailcli.preprocessing.schema_file.locate import FilesByRole, LocatedFiles, files_of, missing_columns
from mailcli.preprocessing.schema_file.parquet import is_list, is_readable
from mailcli.preprocessing.schema_file.time_checks import time_faults
from mailcli.preprocessing.schema_file.toml_table import has_fault

#: Faults of columns that are reported at once (ours: each of them looks for a similar name among all columns).
MOST_FAULTS = 20


def splits_of_file(split: SplitDefinition, path: Path, raw: Path) -> list[int]:
    """The codes of the splits whose patterns match a file, by its name or by its path below the raw folder."""
    names = {path.name, relative_name(path, raw)}
    return [
        code
        for code, patterns in enumerate((split.train, split.validation, split.test))
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns for name in names)
    ]


def file_faults(schema: SchemaFile, files: FilesByRole, raw: Path, faults: Sequence[str]) -> list[str]:
    """All that the files lack of what the schema file asks for.

    Args:
        schema: the valid part of the schema file.
        files: the files of each table.
        raw: the raw folder.
        faults: the faults already known; their consequences are not reported.
    """
    new = [
        *islice(
            (fault for column in _columns(schema) for fault in _column_faults(schema, files, *column)), MOST_FAULTS
        ),
        *_join_faults(schema, files),
        *_sql_faults(schema),
    ]
    new += time_faults(schema, files, [*faults, *new])
    impressions = files.get("impressions")
    if (
        impressions
        and schema.split.by == "file"
        and not any(has_fault(faults, key) for key in ("split", "impressions.files"))
    ):
        new += _split_faults(schema.split, impressions, raw)
    return new


def _columns(schema: SchemaFile) -> Iterator[tuple[str, ColumnRef | None, str, bool]]:
    """All columns of the schema file: key, column, role of the table, whether it must be a Parquet list."""
    yield "users.user", schema.user_key, "users", False
    yield "items.item", schema.item_key, "items", False
    yield "impressions.user", schema.user, "impressions", False
    yield "impressions.item", schema.item, "impressions", False
    yield "impressions.time", schema.time.column if schema.time else None, "impressions", False
    yield "behaviors.user", schema.behavior_user, "behaviors", False
    yield "behaviors.time", schema.behavior_time.column if schema.behavior_time else None, "behaviors", False
    yield "behaviors.action.column", ColumnRef(schema.action.column), "behaviors", False
    yield "split.column", ColumnRef(schema.split.column), "impressions", False
    for role, fields in (
        ("users", schema.attributes),
        ("items", schema.features),
        ("behaviors", schema.behavior_fields),
        ("impressions", schema.context),
    ):
        for field in fields:
            is_parquet_list = field.kind == "list" and not field.separator and not field.extract_all
            yield field.key, field.column, role, is_parquet_list
    labels = (schema.click, *([schema.conversion] if schema.conversion else []))
    for rule in (*labels, *schema.impressions_where):
        yield rule.key, ColumnRef(rule.column), "impressions", False
    for rule in (*schema.action.rules, *schema.behaviors_where):
        yield rule.key, ColumnRef(rule.column), "behaviors", False


def named_columns(schema: SchemaFile) -> frozenset[str]:
    """The names of all columns of the schema file, whatever table they are in."""
    names = {column.name for _, column, *_ in _columns(schema) if column}
    return frozenset(names | ({schema.join.on} if schema.join else set()))


def _column_faults(
    schema: SchemaFile, files: FilesByRole, key: str, column: ColumnRef | None, role: str, as_list: bool
) -> list[str]:
    """A column that the files do not have, or that holds values of another type."""
    own = files_of(schema, files, role)
    if column is None or not column.name or own is None:
        return []
    joined = files.get("join") if own is files_of(schema, files, "impressions") else None
    faults = missing_columns(key, [column.name], own, joined)
    if faults:
        return faults
    data_type = {**(joined.types if joined else {}), **own.types}.get(column.name)
    if data_type is not None and not is_readable(data_type):
        digits = "; of decimals, those of at most 38 digits" if "decimal256" in str(data_type) else ""
        return [
            f"{key}: column '{column.name}' holds {data_type}. Expected strings, numbers, Booleans, times, or lists of "
            f"these{digits}"
        ]
    holds_lists = data_type is not None and is_list(data_type)
    if holds_lists != as_list:
        contents = "lists. Expected list = true" if holds_lists else "no Parquet lists. Expected a separator"
        return [f"{key}: column '{column.name}' holds {contents}"]
    return []


def _join_faults(schema: SchemaFile, files: FilesByRole) -> list[str]:
    """The shared column must be in both."""
    if schema.join is None:
        return []
    both = (files_of(schema, files, "impressions"), files.get("join"))
    return [
        fault
        for side in both
        if side
        for fault in missing_columns("impressions.join.on", [schema.join.on], replace(side, folder_columns=()))
    ]


def _split_faults(split: SplitDefinition, impressions: LocatedFiles, raw: Path) -> list[str]:
    """Files of the impressions that belong to no split, or to several."""
    faults = []
    for path in impressions.paths:
        splits = splits_of_file(split, path, raw)
        if len(splits) != 1:
            count = "the patterns of several splits" if splits else "no split pattern"
            faults.append(f"split: the file {relative_name(path, raw)} matches {count}. Expected exactly one")
    return faults


def _sql_faults(schema: SchemaFile) -> list[str]:
    """Regular expressions and time formats that DuckDB does not support, such as look-ahead."""
    times = [
        (f"{role}.time", time)
        for role, time in (("impressions", schema.time), ("behaviors", schema.behavior_time))
        if time
    ]
    keys = [("users.user", schema.user_key), ("items.item", schema.item_key), ("behaviors.user", schema.behavior_user)]
    keys += [("impressions.user", schema.user), ("impressions.item", schema.item)]
    keys += [(key, time.column) for key, time in times]
    keys += [(field.key, field.column) for field in schema.fields]
    regexes = [(f"{key}.extract", column.extract) for key, column in keys if column]
    regexes += [(f"{field.key}.extract_all", field.extract_all) for field in schema.fields]
    formats = [(f"{key}.format", time.format) for key, time in times]
    faults = []
    for texts, sql, expected in (
        (regexes, "regexp_extract('', {}, 1)", "a regular expression that DuckDB (RE2) supports"),
        (formats, "try_strptime('', {})", "a time format that DuckDB (strptime) supports, such as %Y-%m-%d %H:%M:%S"),
    ):
        for key, text in texts:
            try:
                if text:
                    duckdb.sql(f"SELECT {sql.format(literal(text))}").fetchall()
            except duckdb.Error as error:
                faults.append(f"{key} = {text!r}: expected {expected} ({error})")
    return faults
