"""DuckDB in this process, with the PySpark DataFrame API by SQLFrame: nothing to install or start."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
from sqlframe.duckdb import DuckDBSession
from sqlframe.duckdb import functions as duckdb_functions

from mailcli.errors import MailError
from mailcli.preprocessing.duckdb_errors import memory_or_disk_error
from mailcli.preprocessing.duckdb_sql import literal, paths_literal, pattern_of
from mailcli.preprocessing.engines._base import (
    BrokenLine,
    DataEngine,
    DataFrame,
    quoted_column,
    run_with_progress,
)
from mailcli.utils.sizes import size_text
from mailcli.utils.system_errors import LONGEST_ERROR

#: DuckDB's errors that are not the number of fields; of several in a line, the first here is the cause.
_REASONS: dict[str, Literal["encoding", "quotes", "length"]] = {
    "LINE SIZE OVER MAXIMUM": "length",
    "INVALID ENCODING": "encoding",
    "UNQUOTED VALUE": "quotes",
}
#: Where DuckDB names the file that it could not read: CSV, Parquet.
_NAMED = re.compile(r'^  file = (.+)$|(?:Parquet file|Failed to read file) "(.+?)"', re.MULTILINE)
#: Stands for a line whose text DuckDB does not report.
_UNKNOWN_TEXT = "(a line with several wrong quotes)"
_CSV = """header = true, auto_detect = false, delim = ',',
    -- A stray quote then spoils only its own row, and DuckDB can split a file into parts that are read in parallel.
    quote = '', ignore_errors = true, store_rejects = true,
    -- A missing field is null, an empty one is not: no file contains the text that stands for null.
    null_padding = true, nullstr = '\x01'"""


class Engine(DataEngine):
    """DuckDB; tables larger than memory spill to `temp_dir`."""

    functions = duckdb_functions

    def __init__(self, temp_dir: Path, memory: int, threads: int | None, master: str | None) -> None:
        if master is not None:
            raise MailError(f"--spark-master {master}: needs --engine spark.")
        self._temp_dir = temp_dir
        self._memory_advice = f"Raise --memory-limit, which is {size_text(memory)}, or lower --threads."
        self._connection = duckdb.connect()
        self._connection.execute(f"SET temp_directory = {literal(temp_dir)}")
        self._connection.execute(f"SET memory_limit = '{memory} bytes'")
        self._connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        # Only explicit sorts set an order; without this, DuckDB would need memory to keep that of the input.
        self._connection.execute("SET preserve_insertion_order = false")
        # DuckDB cannot estimate the rows of a CSV file: it mistook the log for the small side of the join and kept it
        # in memory (9.9 GB for 72 M rows; 0.9 GB with the sides as written, the small one on the right).
        self._connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
        if threads is not None:
            self._connection.execute(f"SET threads = {threads}")
        self._session = DuckDBSession(conn=self._connection)
        self._files: tuple[Path, ...] = ()
        """Those of the query that was made last."""
        self._views = 0

    def read_csv(self, path: Path, columns: int) -> DataFrame:
        """A CSV file, read with an extra column, because DuckDB ignores a comma at the end of a line.

        Lines with even more fields, or that are not UTF-8, go to a table of DuckDB's, which `write` reads.
        """
        names = [f"c{position}" for position in range(columns + 1)]
        types = ", ".join(f"{name}: 'VARCHAR'" for name in names)
        broken = f"CASE WHEN {names[-1]} IS NOT NULL OR {names[-2]} IS NULL THEN concat_ws(',', {', '.join(names)}) END"
        file = f"read_csv({literal(pattern_of(path))}, {_CSV}, columns = {{{types}}})"
        return self.sql(f"SELECT {', '.join(names[:-1])}, {broken} AS broken FROM {file}", path)

    def read_parquet(self, path: Path) -> DataFrame:
        """Parquet as a view, because SQLFrame takes a path with a quote for SQL."""
        files = paths_literal(sorted(path.glob("*.parquet")) if path.is_dir() else [path])
        # Otherwise DuckDB adds a column for each folder named `column=value`, ours or the user's.
        return self._view(f"FROM read_parquet({files}, hive_partitioning = false)")

    def as_view(self, frame: DataFrame) -> DataFrame:
        """SQLFrame copies the whole query several times in every operation: that took half the time of small files."""
        return self._checked_view(self._sql(frame))

    def sql(self, query: str, *files: Path) -> DataFrame:
        """A query as a view, because SQLFrame would parse and rewrite it."""
        self._files = files
        return self._checked_view(query)

    def _checked_view(self, query: str) -> DataFrame:
        """A query of the files that were read last, as a view (MailError if these cannot be read)."""
        try:
            return self._view(query)
        except duckdb.Error as error:
            raise self._translated(error) from error

    def _view(self, query: str) -> DataFrame:
        """A query as a frame; SQLFrame would take a column name that is a word of SQL for SQL if it were not quoted."""
        self._views += 1
        view = f"view_{self._views}"
        self._connection.execute(f"CREATE VIEW {view} AS {query}")
        columns = self._connection.execute(f"DESCRIBE {view}").fetchall()
        # Nothing depends on the types: DuckDB evaluates the frame.
        self._session.catalog.add_table(view, {quoted_column(name): "string" for name, *_ in columns})
        return self._session.table(view)

    def write(self, frame: DataFrame, folder: Path, title: str, partition_by: str) -> list[BrokenLine]:
        """A streaming `COPY`."""
        target = f"{literal(folder)} (FORMAT parquet, PARTITION_BY ({partition_by}), OVERWRITE_OR_IGNORE)"
        copy = f"COPY ({self._sql(frame)}) TO {target}"
        folder.mkdir(parents=True)
        connection = self._connection
        try:
            run_with_progress(title, lambda: connection.execute(copy), connection.query_progress, connection.interrupt)
            return self._broken_lines()
        except duckdb.Error as error:
            raise self._translated(error) from error

    def _broken_lines(self) -> list[BrokenLine]:
        """The lines that DuckDB rejected since the last call."""
        if not self._connection.execute("FROM duckdb_tables() WHERE table_name = 'reject_errors'").fetchall():
            return []
        # A line can have several errors, some without its text; equal lines at different places count separately.
        columns = "max(csv_line), list(error_type::VARCHAR)"
        lines = f"SELECT {columns} FROM reject_errors JOIN reject_scans USING (scan_id, file_id)"
        rows = self._connection.execute(f"{lines} GROUP BY file_path, line").fetchall()
        self._connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")
        return [BrokenLine(text or _UNKNOWN_TEXT, _reason(errors)) for text, errors in rows]

    def collect(self, frame: DataFrame) -> pa.Table:
        """All rows, without a progress bar."""
        try:
            table = self._connection.execute(self._sql(frame)).to_arrow_table()
            # Otherwise the next `write` would return them, too.
            self._broken_lines()
            return table
        except duckdb.Error as error:
            raise self._translated(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # SQLFrame keeps one session per process: without this, the next engine would get the closed one.
        self._session.stop()
        self._connection.close()
        if error and isinstance(error.__cause__, KeyboardInterrupt):
            # DuckDB turns Ctrl-C during a statement into an error of its own.
            raise KeyboardInterrupt from error

    def _sql(self, frame: DataFrame) -> str:
        # Not optimized by SQLGlot, which would repeat a row's checks wherever `fault` is used; DuckDB optimizes anyway.
        return frame.sql(pretty=False, optimize=False, dialect="duckdb")

    def _translated(self, error: duckdb.Error) -> Exception:
        """DuckDB's error about an input or the disk as one line; any other error is a bug and stays as it is."""
        text = str(error).split("Possible fixes:")[0].strip()
        # DuckDB's own faults have a class of their own; this one may be from reading a damaged page of Parquet.
        file = self._damaged_parquet() if type(error) is duckdb.Error else None
        if file:
            return _damaged(file, text)
        file = self._named_file(error)
        if "is not latin-1 encoded" in text:
            text = 'holds bytes from 0x80 to 0x9f, which are not latin-1. Expected encoding = "windows-1252"'
            return MailError(f"{file}: {text}, or other bytes.")
        if "CSV" in text and "invalid state" in text:
            text = "has mixed line endings (\\n, \\r\\n or \\r). Convert them all to \\n."
            return MailError(f"{file}: {text}")
        if "GZIP" in text:
            # For example zeros behind the end, with which tapes and some copies fill a file up.
            return MailError(f"{file}: is damaged, or is followed by bytes that are not gzip. Compress it again.")
        if "CSV" in text:
            return MailError(f"{file}: {text[:LONGEST_ERROR]}")
        if type(error) is duckdb.Error and file:
            return _damaged(file, text)
        resource_error = memory_or_disk_error(error, self._memory_advice)
        if resource_error:
            return resource_error
        if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException | duckdb.InvalidInputException):
            # Values that no check found faulty, or a file that is not what its name says.
            return MailError(f"{file}: {text[:LONGEST_ERROR]}")
        return error

    def _damaged_parquet(self) -> Path | None:
        """The first Parquet file of the last query that cannot be read, because DuckDB does not say which it was."""
        for path in filter(_is_parquet, self._files):
            rows = f"read_parquet({paths_literal([path])}, hive_partitioning = false)"
            try:
                self._connection.execute(f"SELECT max(hash(t)) FROM {rows} AS t").fetchall()
            except duckdb.Error:
                return path
        return None

    def _named_file(self, error: duckdb.Error) -> Path | None:
        """The file that an error names; otherwise the first of the last query."""
        match = _NAMED.search(str(error))
        path = Path(match[1] or match[2]) if match else None
        # A copy in UTF-8, made in the work folder, stands for the first file.
        if path and (path in self._files or not path.is_relative_to(self._temp_dir.parent)):
            return path
        return self._files[0] if self._files else None


def _damaged(file: Path, text: str) -> MailError:
    """The error about a file that DuckDB could not read, for a reason that it gives."""
    return MailError(f"{file}: is cut off or damaged ({text[:LONGEST_ERROR]}). Get the file again.")


def _is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its first bytes."""
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def _reason(errors: Collection[str]) -> Literal["fields", "encoding", "quotes", "length"]:
    """What is wrong with a line, by DuckDB's errors."""
    return next((reason for error, reason in _REASONS.items() if error in errors), "fields")
