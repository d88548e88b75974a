"""Commands for the terminal that rewrite a file with DuckDB, which is installed with this package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import duckdb

from mailcli.preprocessing.duckdb_sql import identifier, literal, pattern_of
from mailcli.preprocessing.schema_init.recognized import RecognizedTable


def copy_command(query: str, out: Path) -> str:
    """A line for the shell that writes the rows of a query to a file, CSV or Parquet by its name."""
    sql = f"COPY ({query}) TO {literal(out)}".replace("\\", "\\\\").replace("'''", "''\\'")
    # The shell reads these four between double quotes.
    code = re.sub(r'([\\`$"])', r"\\\1", f"import duckdb; duckdb.sql('''{sql} ''')")
    return f'python -c "{code}"'


def sql_name(name: str) -> str:
    """A column in SQL, in quotes only if it needs them."""
    is_plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _keywords()
    return name if is_plain else identifier(name)


def is_one(name: str) -> str:
    """SQL for whether a column of 0 and 1, or of truth values, holds 1; `name` as `sql_name` has it."""
    return f"{name}::VARCHAR IN ('1', '1.0', 'true', 'True')"


@cache
def _keywords() -> frozenset[str]:
    rows = duckdb.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    return frozenset(name for (name,) in rows)


def source(table: RecognizedTable) -> str:
    """The files of a table in SQL; all columns of text files are text."""
    paths = [literal(pattern_of(file.path)) for file in table.files]
    files = paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"
    if table.first.parquet:
        return f"read_parquet({files})"
    text_format, options = table.format, ["all_varchar = true"]
    if not table.first.has_header:
        options.append(f"header = false, names = [{', '.join(map(literal, table.first.names))}]")
    if text_format.separator != ",":
        options.append(f"delim = {literal(text_format.separator)}")
    if not text_format.quote:
        options.append("quote = ''")
    if text_format.encoding != "utf-8":
        options.append(f"encoding = {literal(text_format.encoding)}")
    return f"read_csv({files}, {', '.join(options)})"


def output_path(table: RecognizedTable, ending: str) -> Path:
    """A new file next to a table's first one."""
    path = table.first.path
    return path.with_name(f"{uncompressed(path).stem}-{ending}")


def uncompressed(path: Path) -> Path:
    """The path without the ending of a compressed file."""
    return path.with_suffix("") if path.suffix in {".gz", ".zst", ".bz2", ".xz"} else path
