"""The command that writes lists of earlier behaviors as rows with times, all before those of the log."""

from __future__ import annotations

import re
from pathlib import Path

from mailcli.preprocessing.duckdb_sql import literal, pattern_of
from mailcli.preprocessing.schema_file.definition import UNITS
from mailcli.preprocessing.schema_file.parquet import is_parquet
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.duckdb_command import copy_command, is_one, output_path, source, sql_name
from mailcli.preprocessing.schema_init.labels_by_values import click_threshold, commonest, positive_word
from mailcli.preprocessing.schema_init.list_forms import separator_of
from mailcli.preprocessing.schema_init.recognized import RecognizedTable
from mailcli.preprocessing.schema_init.time_values import WHOLE_SECONDS


def history_path(table: RecognizedTable, column: ColumnProfile | None, log: RecognizedTable) -> Path:
    """The file that the command writes; a column is named if the table has several with histories.

    As text, times of Parquet would have another form than those of the log.
    """
    suffix = "parquet" if log.time and log.time.is_time else "csv"
    name = re.sub(r"\W+", "-", column.name).strip("-") + "-" if column else ""
    return output_path(table, f"{name}history.{suffix}")


def history_command(
    table: RecognizedTable, history: ColumnProfile, log: RecognizedTable, pages: Path | None, out: Path
) -> str:
    """A shell command that writes each user's earliest list as rows, all before the log, and the log's clicks.

    Args:
        table: the table with the lists.
        history: their column.
        log: a table with a user and a time, perhaps the same.
        pages: a file with `item_id` and `click` that is written from the log, if it has pages instead of items.
        out: the file to write.
    """
    assert table.user is not None
    assert log.user is not None
    assert log.time is not None
    user, time = sql_name(log.user.name), sql_name(log.time.name)
    item = sql_name(log.item.name if log.item and not pages else "item_id")
    moment, step, form = _arithmetic(log.time)
    values = sql_name(history.name)
    if history.lengths is None:
        values = f"string_split({values}, {literal(separator_of(history))})"
    first, lists = (f"arg_min({values}, moment)", "log") if table is log else (f"any_value({values})", source(table))
    number = "len(list) - generate_subscripts(list, 1) + 1"
    back = f"(SELECT min(moment) FROM log) - {step.format(number)}"
    query = (
        f"WITH log AS (SELECT *, {moment} AS moment FROM {source(log)}), "
        f"lists AS (SELECT {sql_name(table.user.name)} AS owner, {first} AS list FROM {lists} GROUP BY owner) "
        f"SELECT owner AS {user}, unnest(list) AS {item}, {form.format(back)} AS {time} FROM lists"
    )
    clicked = "click::VARCHAR = '1'" if pages else _clicked(log)
    if clicked:
        clicks = _pages_sql(pages) if pages else "log"
        query += f" UNION ALL SELECT {user}, {item}, {time} FROM {clicks} WHERE {clicked}"
    return copy_command(query, out)


def _pages_sql(pages: Path) -> str:
    path = literal(pattern_of(pages))
    return f"read_parquet({path})" if is_parquet(pages) else f"read_csv({path}, all_varchar = true)"


def _arithmetic(time: ColumnProfile) -> tuple[str, str, str]:
    """SQL of a time to count with, of a number of steps back, and of the result in the form of the column."""
    name = sql_name(time.name)
    if time.is_time:
        return f"{name}::TIMESTAMP", "to_seconds({})", "{}"
    text, forms = name, time.time_formats
    if not forms and time.formats_of_whole_seconds:
        # Only some rows have a fraction of a second.
        text, forms = f"regexp_extract({name}, {literal(WHOLE_SECONDS)}, 1)", time.formats_of_whole_seconds
    if not forms:
        return f"{name}::{'BIGINT' if time.is_whole else 'DOUBLE'}", f"({{}}) * {UNITS[time.unit]}", "{}"
    form = forms[0]
    smallest = next((step for code, step in (("%S", "seconds"), ("%M", "minutes")) if code in form), "days")
    return f"strptime({text}, {literal(form)})", f"to_{smallest}({{}})", f"strftime({{}}, {literal(form)})"


def _clicked(log: RecognizedTable) -> str:
    """SQL for what counts as a click of a log, as in the proposal; empty if it has no items or no label."""
    label = log.click or log.rating
    if not log.item or not label:
        return ""
    name, word = sql_name(label.name), positive_word(label)
    if label.is_binary:
        return is_one(name)
    if label.is_number and not word:
        return f"try_cast({name} AS DOUBLE) >= {click_threshold(label, is_rating=label is log.rating):.15g}"
    return f"{name} = {literal(word or commonest(label))}"
