"""The lines of a proposed schema file for behaviors and impressions, and for the files of any table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mailcli.escape import toml_string
from mailcli.preprocessing.schema_file.folders import folder_columns
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.file_patterns import file_patterns
from mailcli.preprocessing.schema_init.guess_fields import (
    CHECK,
    field_name,
    guess_fields,
    toml_array,
    unnamed_note,
)
from mailcli.preprocessing.schema_init.table_roles import RecognizedTable, RecognizedTables, is_named_time

#: Most actions that are proposed (ours).
MAX_ACTIONS = 20
#: Characters of a value that a comment quotes (ours).
_SHOWN = 40


def file_lines(table: RecognizedTable, folder: Path) -> Iterator[str]:
    """The files of a table, and how they are written."""
    patterns = file_patterns([str(file.path.resolve().relative_to(folder)) for file in table.files], folder)
    yield f"files = {toml_string(patterns[0]) if len(patterns) == 1 else toml_array(patterns)}"
    first, text_format = table.first, table.format
    if first.parquet:
        return
    if not first.has_header:
        note = f"    {CHECK}: the file has no header line" if first.names[0].startswith("column_") else ""
        yield f"columns = {toml_array(first.names)}{note}"
    if text_format.separator != ",":
        yield f"separator = {toml_string(text_format.separator)}"
    elif not text_format.quote:
        yield 'quote = ""'
    if text_format.encoding != "utf-8":
        yield f"encoding = {toml_string(text_format.encoding)}    {CHECK}: the file is not UTF-8"
    missing = tuple(dict.fromkeys(text for column in table.columns for text in column.missing))
    if missing:
        yield f"missing = {toml_array(missing)}    {CHECK}: these seem to be missing values"


def behavior_lines(tables: RecognizedTables, folder: Path) -> Iterator[str]:
    """`[behaviors]`, from its own files or from the earlier impressions."""
    impressions = tables.impressions
    log = tables.behaviors or impressions
    yield "[behaviors]"
    if log is impressions:
        yield "# What users did before an impression: the earlier rows of the impressions' files."
    else:
        yield from file_lines(log, folder)
    assert log.user is not None
    yield f"user = {toml_string(log.user.name)}"
    yield from _time_lines(log, "")
    yield from _action_lines(log, is_impressions=log is impressions)
    yield ""
    yield "[behaviors.fields]"
    if log.item:
        yield f"item = {toml_string(log.item.name)}"
    yield from _behavior_fields(tables.items, [] if log is impressions else log.other_columns)


def _action_lines(log: RecognizedTable, is_impressions: bool) -> Iterator[str]:
    """The actions of a log with its own column of them, or the clicks of the impressions."""
    column = log.action or (log.rating if is_impressions and not log.click else None)
    if column and 1 < column.distinct <= MAX_ACTIONS:
        is_number = column.is_number
        order = sorted(set(column.values), key=lambda value: (float(value), value) if is_number else (0.0, value))
        action = f"{{column = {toml_string(column.name)}, values = {toml_array(order)}}}"
        yield f"action = {action}    {CHECK}: are these all?"
    elif is_impressions and log.click:
        yield f"where = {toml_string(log.click.name)}"
        yield 'action = {constant = "click"}'


def _behavior_fields(items: RecognizedTable | None, columns: list[ColumnProfile]) -> Iterator[str]:
    """Columns of a behavior log: active if items have the same field, since a behavior is compared with the target."""
    features = guess_fields([column for column in items.columns if column is not items.item]) if items else {}
    used = {name for name, _ in features.values()}
    for column in columns:
        name, guess = features.get(column.name, ("", None))
        if guess and guess.is_category and column.is_single:
            yield f"{name} = {toml_string(column.name)}"
        elif column.name:
            name = name or field_name(column.name, used)
            yield f"# {name} = {toml_string(column.name)}    {CHECK}: only if items have the same field"
    yield from unnamed_note(columns)


def impression_lines(impressions: RecognizedTable, folder: Path) -> Iterator[str]:
    """`[impressions]` and its context."""
    assert impressions.user is not None
    assert impressions.item is not None
    yield "[impressions]"
    yield from file_lines(impressions, folder)
    yield f"user = {toml_string(impressions.user.name)}"
    yield f"item = {toml_string(impressions.item.name)}"
    # To the engine these letters are not an offset: it would subtract the one of local time as well.
    is_utc = impressions.time and any(form.endswith(("Z", " UTC")) for form in impressions.time.time_formats)
    local = "" if is_utc else '; for local time add utc_offset = "+08:00", to the behaviors too'
    yield from _time_lines(impressions, f"    {CHECK}: hours and days are in UTC{local}")
    if impressions.click:
        yield f"click = {toml_string(impressions.click.name)}"
    elif impressions.rating:
        largest = max(map(float, impressions.rating.values))
        rule = f"{{column = {toml_string(impressions.rating.name)}, at_least = {0.8 * largest:g}}}"
        yield f"click = {rule}    {CHECK}: what counts as a click"
    if impressions.conversion:
        yield f"conversion = {toml_string(impressions.conversion.name)}"
    yield ""
    yield "[impressions.context]"
    used: set[str] = {"hour", "weekday"}
    if impressions.time:
        yield 'hour = {clock = "hour"}'
        yield 'weekday = {clock = "weekday"}'
    for column in impressions.other_columns:
        if column.name:
            note = f"{CHECK}: only if it is known before the click"
            if not column.is_single:
                note = f"{CHECK}: Parquet {column.unusable or 'lists'} cannot be context"
            yield f"# {field_name(column.name, used)} = {toml_string(column.name)}    {note}"
    paths = [file.path.resolve() for file in impressions.files]
    for name in folder_columns(paths, folder):
        yield f"# {field_name(name, used)} = {toml_string(name)}    {CHECK}: from the names of the folders"
    yield from unnamed_note(impressions.other_columns)


def _time_lines(table: RecognizedTable, note: str) -> Iterator[str]:
    """The time of a table, with a comment unless there is something more important to check."""
    if table.unknown_time:
        example = table.unknown_time.values[0][:_SHOWN]
        column = toml_string(table.unknown_time.name)
        yield f'# time = {{column = {column}, format = ""}}    {CHECK}: what is the format of {example!r}?'
    if table.time is None:
        return
    column, formats = toml_string(table.time.name), table.time.time_formats
    value = column
    if formats:
        value = f"{{column = {column}, format = {toml_string(formats[0])}}}"
    elif not table.time.is_time and table.time.unit != "s":
        value = f'{{column = {column}, unit = "{table.time.unit}"}}'
    if not is_named_time(table.time):
        note = f"    {CHECK}: is this the time?{note.removeprefix(f'    {CHECK}:')}"
    if formats[1:]:
        note = f"    {CHECK}: or is it {formats[1]}?"
    yield f"time = {value}{note}"
