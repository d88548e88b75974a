"""Forms of files that no schema file can describe, and a command that rewrites each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailcli.errors import counted
from mailcli.preprocessing.duckdb_sql import literal
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.duckdb_command import copy_command, is_one, output_path, source, sql_name
from mailcli.preprocessing.schema_init.history_command import history_command, history_path
from mailcli.preprocessing.schema_init.list_forms import histories, is_page, item_ids, page_separator, shown_and_clicked
from mailcli.preprocessing.schema_init.recognized import RecognizedTable
from mailcli.preprocessing.schema_init.time_values import is_time_of_day

#: Characters of a value that a hint quotes, keys of JSON objects that a command reads (ours: it stays one line).
_SHOWN, _JSON_KEYS = 40, 8
_DOCS = "(docs/your-own-data.md, Other forms of files)"
#: With at least so many columns of 0 and 1 a list is recommended; with more than the second number they are left out
#: (ours).
MANY_FLAGS, TOO_MANY_FLAGS = 8, 30
#: A table without items and with at least so many columns of numbers is taken for a matrix of users and items (ours).
_MATRIX = 20


@dataclass(frozen=True)
class ReshapeHint:
    """Columns that cannot be used as they are, or not well."""

    columns: tuple[ColumnProfile, ...]
    holds: str
    """What they hold."""
    advice: str
    """What to do."""
    command: str = ""
    """A line for the shell that does it; empty if there is none."""
    is_left_out: bool = True
    """Whether the columns are left out of the schema file until then."""


def set_aside(
    tables: Sequence[RecognizedTable],
) -> tuple[list[RecognizedTable], list[tuple[RecognizedTable, ReshapeHint]]]:
    """The tables with the columns that are left out until they are rewritten, and the hints."""
    hints = [(table, hint) for table in tables for hint in reshape_hints(table, tables)]
    left_out = {
        id(table): {
            column.name: hint.holds
            for owner, hint in hints
            if owner is table and hint.is_left_out
            for column in hint.columns
        }
        for table in tables
    }
    return [replace(table, set_aside=left_out[id(table)]) for table in tables], hints


def reshape_hints(table: RecognizedTable, tables: Sequence[RecognizedTable]) -> list[ReshapeHint]:
    """The hints for one of some tables."""
    finders: tuple[Callable[[RecognizedTable], Iterator[ReshapeHint]], ...] = (
        _matrices, _flags, _json_objects, _structs, _days_and_clocks
    )  # fmt: skip
    ids = item_ids(tables)
    hints = [*_pages(table, ids), *_shown_lists(table, ids), *_histories(table, tables, ids)]
    return hints + [hint for find in finders for hint in find(table)]


def instead(table: RecognizedTable, ending: str) -> str:
    """What to do with the file that a command writes."""
    others = len(table.files) - 1
    parts = f" and its {counted(others, 'other part')}" if others else ""
    return f"then give {output_path(table, ending).name} to `mail schema init` instead of {table.name}{parts}"


def _pages_query(table: RecognizedTable, page: ColumnProfile, left_out: Sequence[ColumnProfile]) -> str:
    """SQL for a row for each item that a page showed, with `item_id` and `click`."""
    name, separator = sql_name(page.name), literal(page_separator(page))
    others = ", ".join([name, "entry", *(sql_name(column.name) for column in left_out)])
    return (
        f"SELECT * EXCLUDE ({others}), left(entry, -2) AS item_id, right(entry, 1) AS click "
        f"FROM (SELECT *, unnest(string_split({name}, {separator})) AS entry FROM {source(table)})"
    )


def _pages(table: RecognizedTable, ids: set[str]) -> Iterator[ReshapeHint]:
    for page in filter(is_page, table.columns):
        ending = "impressions.csv"
        yield ReshapeHint(
            (page,),
            f"what a page showed, with clicks, such as {min(page.values, key=len)[:_SHOWN]!r}",
            f"Write one row for each impression; {instead(table, ending)}",
            copy_command(_pages_query(table, page, histories(table, ids)), output_path(table, ending)),
        )


def _shown_lists(table: RecognizedTable, ids: set[str]) -> Iterator[ReshapeHint]:
    """Parquet lists of what was shown and what was clicked; or of something without the clicks."""
    pair = shown_and_clicked(table)
    if pair:
        shown, clicked = (sql_name(column.name) for column in pair)
        ending = "impressions.parquet"
        query = (
            f"SELECT * EXCLUDE ({shown}, {clicked}), list_contains({clicked}, item_id)::INTEGER AS click "
            f"FROM (SELECT *, unnest({shown}) AS item_id FROM {source(table)})"
        )
        yield ReshapeHint(
            pair,
            "lists of what was shown and clicked",
            f"Write one row for each impression; {instead(table, ending)}",
            copy_command(query, output_path(table, ending)),
        )
        return
    lists = [column for column in table.columns if column.lengths is not None and column not in histories(table, ids)]
    if lists and table.user and not table.user.is_unique and not table.item:
        yield ReshapeHint((lists[0],), "lists, perhaps of what was shown", f"Write one row for each impression {_DOCS}")


def _histories(table: RecognizedTable, tables: Sequence[RecognizedTable], ids: set[str]) -> Iterator[ReshapeHint]:
    columns = histories(table, ids)
    for column in columns:
        log = next((log for log in (table, *tables) if log.user and log.time), None)
        pages = _written_impressions(log) if log else None
        advice = f"Write them as rows with a time {_DOCS}"
        command = ""
        if log and table.user:
            out = history_path(table, column if len(columns) > 1 else None, log)
            advice = (
                "Histories are made from the log's earlier clicks; for these as well, write both as rows with times, "
                f"and give {out.name} to `mail schema init` too"
            )
            command = history_command(table, column, log, pages, out)
        yield ReshapeHint((column,), "lists of earlier behaviors without times", advice, command)


def _written_impressions(log: RecognizedTable) -> Path | None:
    """The file that the command for its pages writes; None if a log has none."""
    if any(map(is_page, log.columns)):
        return output_path(log, "impressions.csv")
    return output_path(log, "impressions.parquet") if shown_and_clicked(log) else None


def _flags(table: RecognizedTable) -> Iterator[ReshapeHint]:
    """Columns of 0 and 1 of users or items, whose names are the values of one field."""
    key = table.user or table.item
    flags = tuple(column for column in table.other_columns if column.is_binary and column.name)
    if not key or not key.is_unique or len(flags) < MANY_FLAGS:
        return
    query = (
        f"SELECT * EXCLUDE (flag, has), string_agg(flag, '|') FILTER ({is_one('has')}) AS flags "
        f"FROM {source(table)} UNPIVOT INCLUDE NULLS (has FOR flag IN ({_shortest(flags, table)})) "
        "GROUP BY ALL"
    )
    yield ReshapeHint(
        flags,
        "columns of 0 and 1",
        f"If they are the values of one field, write them as a list; {instead(table, 'lists.csv')}",
        copy_command(query, output_path(table, "lists.csv")),
        is_left_out=len(flags) > TOO_MANY_FLAGS,
    )


def _shortest(columns: Sequence[ColumnProfile], table: RecognizedTable) -> str:
    """Some of a table's columns in SQL: their names, or those of all others."""
    names = ", ".join(sql_name(column.name) for column in columns)
    others = ", ".join(sql_name(column.name) for column in table.columns if column not in columns and column.name)
    return min(names, f"* EXCLUDE ({others})", key=len)


def _matrices(table: RecognizedTable) -> Iterator[ReshapeHint]:
    """A row for each user and a column for each item, with ratings."""
    if table.item or not table.columns or not table.columns[0].is_unique:
        return
    key, *others = table.columns
    cells = tuple(column for column in others if column.name and column.is_number)
    if len(cells) < _MATRIX or len(cells) < len(others) or all(column.is_binary for column in cells):
        return
    query = f"FROM (UNPIVOT (FROM {source(table)}) ON * EXCLUDE ({sql_name(key.name)}) INTO NAME item_id VALUE rating)"
    yield ReshapeHint(
        cells,
        "columns of numbers, perhaps one for each item",
        f"If so, write one row for each rating, with a time if there is one {_DOCS}; {instead(table, 'ratings.csv')}",
        copy_command(query, output_path(table, "ratings.csv")),
    )


def _json_objects(table: RecognizedTable) -> Iterator[ReshapeHint]:
    keys = {column: keys for column in table.columns if (keys := _json_keys(column))}
    if not keys:
        return
    values = [
        f"json_extract_string({sql_name(column.name)}, {literal(key)}) AS {sql_name(key)}"
        for column, own in keys.items()
        for key in own
    ]
    yield ReshapeHint(
        tuple(keys),
        "JSON objects",
        f"Write their values as columns; {instead(table, 'columns.csv')}",
        copy_command(_replaced(keys, values, table), output_path(table, "columns.csv")),
    )


def _replaced(columns: Iterable[ColumnProfile], values: Iterable[str], table: RecognizedTable) -> str:
    """SQL for a table with some values in place of some of its columns."""
    names = ", ".join(sql_name(column.name) for column in columns)
    return f"SELECT * EXCLUDE ({names}), {', '.join(values)} FROM {source(table)}"


def _json_keys(column: ColumnProfile) -> list[str]:
    """The first keys of JSON objects; none if the column holds anything else."""
    if not column.is_single or not column.values or not all(value.startswith("{") for value in column.values):
        return []
    keys: dict[str, None] = {}
    try:
        for value in column.values:
            keys.update(dict.fromkeys(json.loads(value)))
    except ValueError:
        return []
    return list(keys)[:_JSON_KEYS]


def _structs(table: RecognizedTable) -> Iterator[ReshapeHint]:
    structs = tuple(column for column in table.columns if column.unusable == "structs")
    if not structs:
        return
    fields = [f"{sql_name(column.name)}.*" for column in structs]
    yield ReshapeHint(
        structs,
        "Parquet structs",
        f"Write their fields as columns; {instead(table, 'columns.parquet')}",
        copy_command(_replaced(structs, fields, table), output_path(table, "columns.parquet")),
        # A note of its own says so.
        is_left_out=False,
    )


def _days_and_clocks(table: RecognizedTable) -> Iterator[ReshapeHint]:
    """A day and a time of day in two columns."""
    if not table.time or not table.time.time_formats or re.search("%[HI]", table.time.time_formats[0]):
        return
    clock = next((column for column in table.columns if is_time_of_day(set(column.values))), None)
    if clock is None:
        return
    day, name = sql_name(table.time.name), sql_name(clock.name)
    query = f"SELECT * EXCLUDE ({day}, {name}), {day} || ' ' || {name} AS time FROM {source(table)}"
    yield ReshapeHint(
        (clock,),
        f"times of the days in '{table.time.name}'",
        f"Write both as one column, or behaviors of the same day are in no order; {instead(table, 'times.csv')}",
        copy_command(query, output_path(table, "times.csv")),
    )
