"""The lines of a proposed schema file for behaviors and impressions, and for the files of any table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mailcli.escape import toml_string
from mailcli.preprocessing.schema_file.folders import folder_columns
from mailcli.preprocessing.schema_init.file_patterns import file_patterns
from mailcli.preprocessing.schema_init.guess_fields import (
    CHECK,
    FieldGuess,
    field_name,
    guess_fields,
    toml_array,
    unnamed_note,
)
from mailcli.preprocessing.schema_init.labels_by_values import click_rule
from mailcli.preprocessing.schema_init.recognized import MAX_PROPOSED_ACTIONS, RecognizedTable, RecognizedTables
from mailcli.preprocessing.schema_init.time_values import WHOLE_SECONDS
from mailcli.utils.paths import real_path

#: Characters of a value that a comment quotes (ours).
_SHOWN = 40


def file_lines(table: RecognizedTable, folder: Path) -> Iterator[str]:
    """The files of a table, and how they are written."""
    patterns = file_patterns([str(real_path(file.path).relative_to(folder)) for file in table.files], folder)
    yield f"files = {toml_string(patterns[0]) if len(patterns) == 1 else toml_array(patterns)}"
    first, text_format = table.first, table.format
    if first.parquet:
        return
    if not first.has_header:
        note = f"    {CHECK}: the file has no header line" if first.names[0].startswith("column_") else ""
        yield f"columns = {toml_array(first.names)}{note}"
    if text_format.separator != ",":
        yield f"separator = {toml_string(text_format.separator)}"
    # Behind a separator of several characters, quotes have no meaning anyway.
    if not text_format.quote and len(text_format.separator) == 1:
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
    yield role_line(log, "user")
    yield from _time_lines(log, "")
    yield from _action_lines(log, is_impressions=log is impressions)
    yield ""
    yield "[behaviors.fields]"
    if log.item:
        yield f"item = {toml_string(log.item.name)}"
    yield from _behavior_fields(tables.items, None if log is impressions else log)


def _action_lines(log: RecognizedTable, is_impressions: bool) -> Iterator[str]:
    """The actions of a log with its own column of them, or the clicks of the impressions."""
    column = log.action or (log.rating if is_impressions and not log.click else None)
    if column and 1 < column.distinct <= MAX_PROPOSED_ACTIONS:
        is_number = column.is_number
        order = sorted(set(column.values), key=lambda value: (float(value), value) if is_number else (0.0, value))
        action = f"{{column = {toml_string(column.name)}, values = {toml_array(order)}}}"
        yield f"action = {action}    {CHECK}: are these all?"
    elif is_impressions and log.click:
        yield f"where = {click_rule(log.click)[0]}"
        yield 'action = {constant = "click"}'


def _behavior_fields(items: RecognizedTable | None, log: RecognizedTable | None) -> Iterator[str]:
    """Columns of a behavior log: active if items have the same field, since a behavior is compared with the target."""
    if log is None:
        return
    features = item_fields(items)
    used = {name for name, _ in features.values()}
    left_out = dict(left_out_behavior_fields(items, log))
    for column in log.other_columns:
        if not column.name:
            continue
        name = features[column.name][0] if column.name in features else field_name(column.name, used)
        if column.name in left_out:
            yield f"# {name} = {toml_string(column.name)}    {CHECK}: {left_out[column.name]}"
        else:
            yield f"{name} = {toml_string(column.name)}"
    yield from unnamed_note(log.other_columns)


def item_fields(items: RecognizedTable | None) -> dict[str, tuple[str, FieldGuess]]:
    """The fields of the items, by their columns."""
    return (
        guess_fields([column for column in items.columns if column is not items.item], items.set_aside) if items else {}
    )


def left_out_behavior_fields(items: RecognizedTable | None, log: RecognizedTable) -> list[tuple[str, str]]:
    """The columns of a behavior log that are not used, and why."""
    features = item_fields(items)
    return [
        (column.name, log.set_aside.get(column.name, "use it only if items have the same field"))
        for column in log.other_columns
        if column.name and not (column.name in features and features[column.name][1].is_category and column.is_single)
    ]


def impression_lines(impressions: RecognizedTable, folder: Path) -> Iterator[str]:
    """`[impressions]` and its context."""
    assert impressions.user is not None
    assert impressions.item is not None
    yield "[impressions]"
    yield from file_lines(impressions, folder)
    yield role_line(impressions, "user")
    yield role_line(impressions, "item")
    # To the engine these letters are not an offset: it would subtract the one of local time as well.
    is_utc = impressions.time and any(form.endswith(("Z", " UTC")) for form in impressions.time.time_formats)
    local = "" if is_utc else '; for local time add utc_offset = "+08:00", to the behaviors too'
    yield from _time_lines(impressions, f"hours and days are in UTC{local}")
    yield from _label_lines(impressions)
    yield ""
    yield "[impressions.context]"
    used: set[str] = {"hour", "weekday"}
    if impressions.time:
        yield 'hour = {clock = "hour"}'
        yield 'weekday = {clock = "weekday"}'
    for name, reason in left_out_context(impressions):
        yield f"# {field_name(name, used)} = {toml_string(name)}    {CHECK}: {reason}"
    paths = [real_path(file.path) for file in impressions.files]
    for name in folder_columns(paths, folder):
        yield f"# {field_name(name, used)} = {toml_string(name)}    {CHECK}: from the names of the folders"
    yield from unnamed_note(impressions.other_columns)


def left_out_context(impressions: RecognizedTable) -> list[tuple[str, str]]:
    """The columns of the impressions that are not used, and why."""
    used = (*impressions.user_columns, *impressions.item_columns)
    reasons = []
    for column in impressions.other_columns:
        if not column.name or column in used:
            continue
        reason = "use it only if it is known before the click"
        if not column.is_single:
            reason = f"Parquet {column.unusable or 'lists'} cannot be context"
        reasons.append((column.name, impressions.set_aside.get(column.name, reason)))
    return reasons


def _label_lines(impressions: RecognizedTable) -> Iterator[str]:
    """`click`, from a label or a rating, and `conversion`."""
    label = impressions.click or impressions.rating
    if label:
        rule, check = click_rule(label, is_rating=label is impressions.rating)
        checks = [impressions.question("click" if impressions.click else "rating", "label"), check]
        note = _joined(checks)
        yield f"click = {rule}{f'    {CHECK}: {note}' if note else ''}"
    if impressions.conversion:
        yield f"conversion = {toml_string(impressions.conversion.name)}"


def _joined(checks: Iterable[str]) -> str:
    return "; ".join(filter(None, checks)).replace("?; ", "? ")


def role_line(table: RecognizedTable, role: str) -> str:
    """The line that names the column of the user or the item, with a question if its name does not tell."""
    question = table.question(role, role)
    return f"{role} = {toml_string(getattr(table, role).name)}{f'    {CHECK}: {question}' if question else ''}"


def _time_lines(table: RecognizedTable, note: str) -> Iterator[str]:
    """The time of a table, with what to check; what is said of the impressions is not repeated."""
    if table.unknown_time and table.may_count_rows:
        column = toml_string(table.unknown_time.name)
        yield f"time = {column}    {CHECK}: too small for times since 1970; if they count the rows, it is right"
    elif table.unknown_time:
        example = table.unknown_time.values[0][:_SHOWN]
        column = toml_string(table.unknown_time.name)
        yield f'# time = {{column = {column}, format = ""}}    {CHECK}: what is the format of {example!r}?'
    if table.time is None:
        return
    column, formats = toml_string(table.time.name), table.time.time_formats
    value = column
    if formats:
        value = f"{{column = {column}, format = {toml_string(formats[0])}}}"
    elif table.time.formats_of_whole_seconds:
        cut = f"extract = '{WHOLE_SECONDS}', format = {toml_string(table.time.formats_of_whole_seconds[0])}"
        value = f"{{column = {column}, {cut}}}"
    elif not table.time.is_time and table.time.unit != "s":
        value = f'{{column = {column}, unit = "{table.time.unit}"}}'
    checks = [table.question("time", "time"), note]
    if formats[1:]:
        checks = [f"or is it {formats[1]}?"]
    check = _joined(checks)
    yield f"time = {value}{f'    {CHECK}: {check}' if check else ''}"
