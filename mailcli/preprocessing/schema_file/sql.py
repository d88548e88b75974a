"""The files of a table in DuckDB's SQL, with all columns as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import duckdb
import pyarrow as pa

from mailcli.preprocessing.duckdb_sql import identifier, literal, paths_literal
from mailcli.preprocessing.raw_file import KEPT_CHARACTERS
from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_file.locate import LocatedFiles
from mailcli.preprocessing.schema_file.parquet import is_list, is_time
from mailcli.preprocessing.schema_file.text_file import MAX_LINE_BYTES, first_line_end


def select_text(files: LocatedFiles, first: int, keep_rejects: bool) -> str:
    """A query for the columns of some files that are read, as text.

    Args:
        files: the files of a table.
        first: number of the first column.
        keep_rejects: whether DuckDB keeps the lines that it cannot split, for the engine to report.

    Returns:
        SQL with the columns `#FIRST`, `#FIRST + 1`, ..., those that are read, and `#file`, the path.
    """
    paths = paths_literal(files.copies.get(path, path) for path in files.paths)
    columns = [f"#{first + number}" for number in range(len(files.header))]
    read_columns = [(number, identifier(columns[number])) for number in files.numbers]
    if files.parquet:
        # By position, because DuckDB treats `a` and `A` as the same name.
        texts = (f"{as_text(name, files.types[files.header[number]])} AS {name}" for number, name in read_columns)
        file_column = _unused_name(files.header)
        source = f"read_parquet({paths}, hive_partitioning = false, filename = {literal(file_column)})"
        names = ", ".join(map(identifier, [*columns, "#file"]))
        return f'SELECT {", ".join(texts)}, "#file" FROM {source} AS t({names})'
    text_format = files.format
    null_text = literal(_null_text(text_format))
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns)
    path_column = '"#file"'
    if files.copies:
        names = " ".join(f"WHEN {literal(str(copy))} THEN {literal(str(path))}" for path, copy in files.copies.items())
        path_column = f'CASE "#file" {names} END AS "#file"'
    encoding = "utf-8" if files.copies else text_format.encoding
    return (
        f"SELECT {', '.join(name for _, name in read_columns)}, {path_column} "
        f"FROM read_csv({paths}, auto_detect = false, header = {str(files.has_header).lower()}, "
        f"delim = {literal(text_format.separator)}, quote = {literal(text_format.quote)}, "
        f"escape = {literal(text_format.quote)}, encoding = {literal(encoding)}, columns = {{{types}}}, "
        f"ignore_errors = true, store_rejects = {str(keep_rejects).lower()}, nullstr = {null_text}, "
        f"max_line_size = {MAX_LINE_BYTES}, {_new_line(files)}hive_partitioning = false, filename = '#file')"
    )


def _new_line(files: LocatedFiles) -> str:
    """How lines end, where DuckDB 1.5 would take a line break in a quoted name for the end of all lines."""
    has_break = files.has_header and any("\n" in name for name in files.header)
    end = first_line_end(files.paths[0], files.format) if has_break else ""
    return {"": "", "\n": "new_line = '\\n', ", "\r\n": "new_line = '\\r\\n', "}[end]


def numbered(files: LocatedFiles) -> dict[int, str]:
    """The columns of `select_text(files, 0, ...)`, by their place in the file."""
    return {number: f'"#{number}"' for number in files.numbers}


def parquet_line(files: LocatedFiles) -> str:
    """SQL for the columns of `select_text(files, 0, ...)` as one text, JSON."""
    pairs = (f"{literal(files.header[number])}, {column}" for number, column in numbered(files).items())
    return f"json_object({', '.join(pairs)})::VARCHAR"


def first_parquet_row(files: LocatedFiles, lines: Collection[str]) -> tuple[str, str] | None:
    """Place and text of the first row whose `parquet_line`, cut off at KEPT_CHARACTERS, is among `lines`.

    Files are read one after the other until one has such a row.
    """
    with duckdb.connect() as connection:
        connection.register("faulty", pa.table({"line": pa.array(lines, pa.string())}))
        for path in files.paths:
            rows = select_text(replace(files, paths=(path,)), 0, False)
            first = connection.sql(
                f"SELECT number, line FROM (SELECT left({parquet_line(files)}, {KEPT_CHARACTERS}) AS line, "
                f"row_number() OVER () AS number FROM ({rows})) WHERE line IN (FROM faulty) ORDER BY number LIMIT 1"
            ).fetchone()
            if first:
                return f"{path}, row {first[0]:,}", first[1]
    return None


def _unused_name(header: Sequence[str]) -> str:
    """A name for DuckDB's column of file names that no column of the file has, in any case."""
    name, used = "#file", {column.casefold() for column in header}
    while name in used:
        name += "#"
    return name


def _null_text(text_format: TextFormat) -> str:
    """A text that no file contains, for null: a field that is not there is null, an empty one is not.

    DuckDB refuses one that contains the separator or the quote.
    """
    unused = (chr(code) for code in range(1, 8) if chr(code) not in text_format.separator + text_format.quote)
    return 16 * next(unused)


def as_text(column: str, data_type: pa.DataType) -> str:
    """A Parquet column as text or a list of texts: Booleans as 0 and 1, times as seconds, NaN as missing."""
    if is_list(data_type):
        value = data_type.value_type
        if pa.types.is_floating(value) or pa.types.is_boolean(value) or is_time(value):
            # A missing value keeps its place: the lists of several fields belong together.
            return f"list_transform({column}, lambda x: {as_text('x', value)})"
        return f"{column}::VARCHAR[]"
    if pa.types.is_floating(data_type):
        return f"(CASE WHEN NOT isnan({column}) THEN {column} END)::VARCHAR"
    if pa.types.is_boolean(data_type):
        return f"{column}::INTEGER::VARCHAR"
    if is_time(data_type):
        instant = column if pa.types.is_timestamp(data_type) and data_type.tz else f"try_cast({column} AS TIMESTAMP)"
        # A date beyond the year 294,246 stays a text, which is no number of seconds.
        return f"coalesce((epoch_us({instant}) // 1000000)::VARCHAR, {column}::VARCHAR)"
    return f"{column}::VARCHAR"
