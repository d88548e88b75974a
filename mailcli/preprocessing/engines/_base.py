"""Engines of preprocessing: one file each, behind the PySpark DataFrame API.

Everything that depends on an engine is in this package. The other modules of preprocessing use only DataFrame methods
and `engine.functions`, so a new engine needs no change to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from mailcli.utils.progress import progress

#: A PySpark DataFrame, or SQLFrame's equivalent.
DataFrame = Any

#: Memory that an engine may use before it spills to disk (ours: well below a laptop's).
MEMORY_LIMIT = "2GB"
#: Seconds between two updates of the progress bar (ours: it moves smoothly).
POLL_SECONDS = 0.2


class BrokenLine(NamedTuple):
    """A line of a text file that an engine could not split into fields."""

    text: str
    reason: Literal["fields", "encoding", "quotes", "length"] = "fields"
    """What is wrong with it: the number of its fields, its bytes, its quotes, or its length."""


class DataEngine(ABC):
    """What preprocessing needs of an engine. A subclass is the class `Engine` of its module, a context manager.

    Args:
        temp_dir: folder for what does not fit into memory.
        memory: bytes the engine may use.
        threads: number of threads; None for all cores.
        master: URL of a cluster, for an engine that runs on one; None for this machine.

    Raises:
        MailError: the engine is not installed or cannot start.
    """

    functions: Any
    """`pyspark.sql.functions`, or SQLFrame's equivalent."""

    @abstractmethod
    def __init__(self, temp_dir: Path, memory: int, threads: int | None, master: str | None) -> None: ...

    def column(self, name: str) -> Any:
        """A frame's column by its exact name; `functions.col` and strings would take a name such as `null` for SQL."""
        return self.functions.col(quoted_column(name))

    @abstractmethod
    def read_csv(self, path: Path, columns: int) -> DataFrame:
        """A CSV file with a header line and without quotes, plain or .gz.

        Text columns are c0, c1, ... by position, since names in the file may be anything; an empty field may be null. A
        line with too few or too many fields is either a row whose column `broken` holds its text, or is returned by
        `write`.
        """

    @abstractmethod
    def read_parquet(self, path: Path) -> DataFrame:
        """A Parquet file, or the files directly in a folder."""

    def as_view(self, frame: DataFrame) -> DataFrame:
        """The same frame, its query under a name: for an engine that copies the whole query in every operation."""
        return frame

    def sql(self, query: str, *files: Path) -> DataFrame:
        """The result of a query in DuckDB's SQL, evaluated lazily; the tables of a schema file are such queries.

        Args:
            query: one SELECT.
            files: those that it reads, to name the one that cannot be read; the first where that is not known.
        """
        raise NotImplementedError("pipeline.py accepts schema files only with DuckDB")

    @abstractmethod
    def write(self, frame: DataFrame, folder: Path, title: str, partition_by: str) -> list[BrokenLine]:
        """Write a frame as Parquet below a new folder, split by a column into `column=value/`.

        Returns:
            The broken lines of the CSV files read, unless they are rows of the frame.

        Raises:
            MailError: an input file cannot be read as CSV, or the disk is full.
        """

    @abstractmethod
    def collect(self, frame: DataFrame) -> pa.Table:
        """All rows, in the frame's order, as an Arrow table."""

    def __enter__(self) -> DataEngine:
        return self

    @abstractmethod
    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Free memory and temporary files."""


def quoted_column(name: str) -> str:
    """A column name in Spark's quotes; unquoted, a word of SQL such as `null` would not be a name."""
    return "`" + name.replace("`", "``") + "`"


def run_with_progress(
    title: str, run: Callable[[], object], done: Callable[[], float], cancel: Callable[[], object]
) -> None:
    """Run a statement in a thread, with a progress bar; Ctrl-C interrupts it.

    Args:
        title: label of the bar.
        run: runs the statement; its error is raised here.
        done: the progress in %.
        cancel: makes `run` end early.
    """
    with ThreadPoolExecutor(1) as pool, progress(title, 100, "%") as advance:
        running = pool.submit(run)
        last_percent = 0.0
        try:
            while not running.done():
                wait([running], timeout=POLL_SECONDS / 4 if last_percent == 0 else POLL_SECONDS)
                # Less than a tenth of a per cent is no progress.
                percent = min(max(round(done(), 1), last_percent), 100.0)
                advance(percent - last_percent)
                last_percent = percent
        except KeyboardInterrupt:
            cancel()
            raise
        running.result()
