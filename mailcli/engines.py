"""Where preprocessing runs: the PySpark DataFrame API on DuckDB, inside this process, by SQLFrame.

Everything that depends on the engine is here; the steps themselves (sources/, build.py) use DataFrame methods and
`engine.functions` alone, so that another engine needs no change to them.
"""

from __future__ import annotations

import glob
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlframe.duckdb import DuckDBSession
from sqlframe.duckdb import functions as duckdb_functions
from sqlframe.duckdb.types import StringType, StructField, StructType

from mailcli.errors import MailError
from mailcli.progress import progress

#: A PySpark DataFrame or SQLFrame's twin of it.
DataFrame = Any

#: Memory that DuckDB may use before it spills to disk (ours: well below a laptop's).
MEMORY_LIMIT = "2GB"
#: Seconds between two looks at a running statement (ours: quick enough for a smooth bar).
POLL = 0.2
#: Characters of DuckDB's error texts that are passed on (ours: they may hold a whole row).
SHOWN = 300


def _pattern(path: Path) -> str:
    """A path as it stands inside SQLFrame's quotes: no character of it is a wildcard or ends the text."""
    return glob.escape(str(path)).replace("'", "''")


def quoted(text: Path | str) -> str:
    """A text as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


class DuckDBEngine:
    """DuckDB inside the process: nothing to start, and larger-than-memory tables spill to `temp_dir`."""

    functions = duckdb_functions

    def __init__(self, temp_dir: Path, memory_limit: str = MEMORY_LIMIT, threads: int | None = None) -> None:
        """Args:
        temp_dir: folder for what does not fit into memory.
        memory_limit: what DuckDB may use, e.g. "2GB".
        threads: how many; None for all cores.

        Raises:
            MailError: DuckDB does not understand `memory_limit`.
        """
        self._connection = duckdb.connect()
        self._connection.execute(f"SET temp_directory = {quoted(temp_dir)}")
        self._connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        # Row order is set by explicit sorts alone; DuckDB then streams with flat memory.
        self._connection.execute("SET preserve_insertion_order = false")
        # DuckDB cannot know how long a CSV file is: it took the log for the small side of the join and kept it in
        # memory (9.9 GB for 72 M rows; 0.9 GB with the sides as they are written, the small one on the right).
        self._connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
        try:
            self._connection.execute(f"SET memory_limit = {quoted(memory_limit)}")
        except duckdb.Error as error:
            raise MailError(f"--memory-limit is {memory_limit!r}. Expected a size such as 2GB or 500MB.") from error
        if threads is not None:
            self._connection.execute(f"SET threads = {threads}")
        self._session = DuckDBSession(conn=self._connection)
        self._csv_files: list[Path] = []

    def read_csv(self, path: Path, columns: int) -> DataFrame:
        """A CSV file with a header line, plain or .gz: text columns c0, c1, ...; an empty field is null.

        Names are by place, since those of the file may be anything; a short row has nulls at its end.
        """
        schema = StructType([StructField(f"c{place}", StringType()) for place in range(columns)])
        options = {"header": True, "auto_detect": False, "delim": ",", "quote": '"', "null_padding": True}
        self._csv_files.append(path)
        return self._session.read.options(**options).csv(_pattern(path), schema=schema)

    def read_parquet(self, path: Path) -> DataFrame:
        """A Parquet file, or a folder of them as `write` made it."""
        return self._session.read.parquet(_pattern(path) + ("/**/*.parquet" if path.is_dir() else ""))

    def write(self, frame: DataFrame, folder: Path, title: str, partition_by: str | None = None) -> None:
        """Write a frame as Parquet below a new folder, split by a column into `column=value/`.

        Raises:
            MailError: an input file cannot be read as CSV, or the disk is full.
        """
        folder.mkdir()
        target, split = folder / "part.parquet", ""
        if partition_by:
            target, split = folder, f", PARTITION_BY ({partition_by}), OVERWRITE_OR_IGNORE"
        self._run(f"COPY ({self._sql(frame)}) TO {quoted(target)} (FORMAT parquet{split})", title)

    def collect(self, frame: DataFrame) -> pa.Table:
        """All rows, in the frame's order, as an Arrow table."""
        try:
            return self._connection.execute(self._sql(frame)).to_arrow_table()
        except duckdb.Error as error:
            raise self._translated(error) from error

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back memory and temporary files."""
        # SQLFrame keeps one session per process: without this the next engine would be given the closed one.
        self._session.stop()
        self._connection.close()

    def _sql(self, frame: DataFrame) -> str:
        # Not optimised by SQLGlot, which writes a row's checks out again wherever `bad` is used; DuckDB optimises too.
        return frame.sql(pretty=False, optimize=False, dialect="duckdb")

    def _run(self, sql: str, title: str) -> None:
        """Execute in a thread, so that the bar moves and Ctrl-C interrupts the statement."""
        with ThreadPoolExecutor(1) as pool, progress(title, 100, "%") as advance:
            running = pool.submit(self._connection.execute, sql)
            seen = 0.0
            try:
                while not running.done():
                    time.sleep(POLL / 4 if seen == 0 else POLL)
                    now = min(max(self._connection.query_progress(), seen), 100.0)
                    advance(now - seen)
                    seen = now
            except KeyboardInterrupt:
                self._connection.interrupt()
                raise
            try:
                running.result()
            except duckdb.Error as error:
                raise self._translated(error) from error

    def _translated(self, error: duckdb.Error) -> Exception:
        """DuckDB's complaint about an input or the disk as one line; any other error is a bug and stays."""
        text = str(error).split("Possible fixes:")[0].strip()
        if "CSV Error" in text or "utf-8" in text.lower():
            # DuckDB does not say which file; what is read last is what it read.
            return MailError(f"{self._csv_files[-1]}: {text[:SHOWN]}")
        if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
            return MailError(text[:SHOWN])
        return error
