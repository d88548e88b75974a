"""The roles of a table's columns: by their names, and the time by its values as well."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mailcli.preprocessing.schema_init.column_names import (
    ACTION,
    CLICK,
    CONVERSION,
    ITEM,
    RATING,
    USER,
    is_named_time,
    letters,
)
from mailcli.preprocessing.schema_init.column_profile import TIME_NAME, ColumnProfile
from mailcli.preprocessing.schema_init.file_sample import FileSample
from mailcli.preprocessing.schema_init.labels_by_values import positive_word
from mailcli.preprocessing.schema_init.recognized import BY_VALUES, RecognizedTable
from mailcli.preprocessing.schema_init.row_dependence import determined_by


def recognize_columns(
    files: tuple[FileSample, ...], columns: tuple[ColumnProfile, ...], given: Mapping[str, str]
) -> RecognizedTable:
    """A table with the roles that are given, or that its column names imply."""
    table = RecognizedTable(files, columns)
    for role, name in given.items():
        column = next((column for column in columns if column.name == name), None)
        if column:
            is_unknown = role == "time" and not _is_readable_time(column)
            table = table.with_role("unknown_time" if is_unknown else role, column)
    for role, pattern in (
        ("user", USER), ("item", ITEM), ("click", CLICK), ("rating", RATING), ("conversion", CONVERSION),
        ("action", ACTION),
    ):  # fmt: skip
        if getattr(table, role) is None:
            table = _with_named(table, role, pattern)
    return choose_time(table)


def _with_named(table: RecognizedTable, role: str, pattern: re.Pattern[str]) -> RecognizedTable:
    """A table with the first column of a fitting name; of keys, one whose name says so."""
    fitting = [
        column
        for column in table.usable_columns
        if column.is_single and pattern.fullmatch(letters(column.name)) and _fits(role, column)
    ]
    if role in {"user", "item"}:
        fitting.sort(key=lambda column: not _is_named_key(column))
    if not fitting:
        return table
    are_keys = [_is_named_key(column) for column in fitting]
    rivals = [column for column, is_key in zip(fitting, are_keys, strict=True) if is_key == are_keys[0]][1:]
    is_ambiguous = rivals and role in {"user", "item", "click", "rating"}
    return table.with_role(role, fitting[0], _may_be_too(rivals[0]) if is_ambiguous else "")


def _is_named_key(column: ColumnProfile) -> bool:
    return letters(column.name).endswith(("id", "key", "code"))


def _may_be_too(column: ColumnProfile) -> str:
    return f"'{column.name}' may be it, too"


def _fits(role: str, column: ColumnProfile) -> bool:
    if role in {"click", "conversion"}:
        return column.is_binary or bool(role == "click" and positive_word(column))
    return role != "rating" or column.is_number


def choose_time(table: RecognizedTable) -> RecognizedTable:
    """A table with the column that is called like a time and is one; in a log, else with one that is by its values."""
    if table.time or table.unknown_time:
        return table
    named = [column for column in table.usable_columns if column.is_single and is_named_time(column)]
    times = [column for column in named if _is_readable_time(column)]
    is_log = table.user and (table.item or not table.user.is_unique)
    # A time that some rows lack, such as that of the click, is not that of the impression.
    if is_log and all(_has_gaps(column) for column in times):
        keys = [key for key in (table.user, table.item) if key]
        known = {column.name for key in keys for column in determined_by(key, table.usable_columns)}
        likely = [column for column in table.usable_columns if column.is_single and column.is_likely_time]
        times += [column for column in likely if column.name not in known and column not in times]
    if times:
        times.sort(key=_likeliness)
        rivals = [column for column in times[1:] if _likeliness(column) == _likeliness(times[0])]
        reason = "" if times[0] in named else BY_VALUES
        return table.with_role("time", times[0], _may_be_too(rivals[0]) if rivals else reason)
    unknown = [column for column in named if column.values]
    return table.with_role("unknown_time", unknown[0]) if unknown else table


def _is_readable_time(column: ColumnProfile) -> bool:
    return bool(column.is_time or column.time_formats or column.unit or column.formats_of_whole_seconds)


def _likeliness(column: ColumnProfile) -> tuple[bool, bool, bool]:
    """Sorts times: first those that every row has, those that say more than the day, and those that are named so."""
    is_day = bool(column.time_formats) and not re.search("%[HI]", column.time_formats[0])
    return _has_gaps(column), is_day, not TIME_NAME.search(column.name.lower())


def _has_gaps(column: ColumnProfile) -> bool:
    return len(column.values) < len(column.cells)
