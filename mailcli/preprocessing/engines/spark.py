"""Apache Spark: PySpark itself, on this machine or on a cluster that sees the same folders."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import BrokenLine, DataEngine, DataFrame, run_with_progress
from mailcli.utils.system_errors import LONGEST_ERROR

#: Partitions of a shuffle on one machine (ours: Spark's default of 200 is for a cluster; each costs some 10 ms).
LOCAL_PARTITIONS = 16
#: Spark's messages at its start are noise; errors still show.
_LOG = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n
"""
_CSV: dict[str, bool | int | str] = {
    "header": True,
    "sep": ",",
    "quote": "",
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": "broken",
    # Otherwise Spark reads only the fields that are used, and does not count those of a line.
    "columnPruning": False,
    "maxCharsPerColumn": -1,
    # Spark's default of 20,480 would make it fail at a line of commas.
    "maxColumns": 1_000_000,
}


class Engine(DataEngine):
    """Spark in a session of its own, stopped at the end; needs the extra `mail[spark]` and Java 17 or newer."""

    def __init__(self, temp_dir: Path, memory: int, threads: int | None, master: str | None) -> None:
        try:
            import pyspark.sql.functions
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise MailError(
                "--engine spark needs PySpark. Install it with `pip install -c constraints.txt -e '.[spark]'`."
            ) from error
        self.functions = pyspark.sql.functions
        temp_dir.mkdir(parents=True, exist_ok=True)
        (temp_dir / "log4j2.properties").write_text(_LOG)
        # The warning is about pandas; only Arrow is used.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        settings: dict[str, Any] = {
            "spark.driver.memory": f"{memory >> 20}m",
            "spark.driver.maxResultSize": 0,
            "spark.local.dir": temp_dir,
            "spark.sql.warehouse.dir": temp_dir,
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.execution.arrow.pyspark.enabled": True,
            "spark.ui.enabled": False,
            "spark.ui.showConsoleProgress": False,
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={temp_dir / 'log4j2.properties'}",
        }
        if master is None:
            # Nobody else needs to reach it, and a host name that does not resolve would stop it.
            settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            settings["spark.sql.shuffle.partitions"] = LOCAL_PARTITIONS
        builder = SparkSession.builder.appName("mail preprocess").master(master or f"local[{threads or '*'}]")
        for key, value in settings.items():
            builder = builder.config(key, str(value))
        try:
            self._session = builder.getOrCreate()
        except (PySparkException, Py4JError, OSError) as error:
            java = shutil.which("java") or "JAVA_HOME" in os.environ
            where = f" on {master}" if master else ""
            fix = "" if java else " No Java was found: install 17 or newer."
            raise MailError(f"Spark cannot start{where} ({_first_line(error)}).{fix}") from error
        self._error = PySparkException

    def read_csv(self, path: Path, columns: int) -> DataFrame:
        """A CSV file; Spark puts the text of a broken line into the column `broken` of its row."""
        schema = ", ".join([*(f"c{position} string" for position in range(columns)), "broken string"])
        return self._session.read.options(**_CSV).schema(schema).csv(_pattern(path))

    def read_parquet(self, path: Path) -> DataFrame:
        """Parquet, as Spark reads it."""
        return self._session.read.parquet(_pattern(path))

    def write(self, frame: DataFrame, folder: Path, title: str, partition_by: str) -> list[BrokenLine]:
        """Parquet, shuffled by the column first, so that each part is one file and not one per task."""
        writer = frame.repartition(partition_by).write.partitionBy(partition_by)
        context = self._session.sparkContext
        try:
            run_with_progress(title, lambda: writer.parquet(str(folder)), self._done, context.cancelAllJobs)
        except self._error as error:
            raise self._translated(error) from error
        return []

    def _done(self) -> float:
        """Share of the running stages' tasks that are done, in %."""
        tracker = self._session.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        total = sum(stage.numTasks for stage in stages if stage)
        return 100 * sum(stage.numCompletedTasks for stage in stages if stage) / total if total else 0.0

    def collect(self, frame: DataFrame) -> pa.Table:
        """All rows, as Arrow batches."""
        try:
            return frame.toArrow()
        except self._error as error:
            raise self._translated(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._session.stop()

    def _translated(self, error: Exception) -> Exception:
        """A full disk or a missing input as one line; any other error is a bug and stays as it is."""
        text = str(error)
        for known in (
            "No space left on device",
            "PATH_NOT_FOUND",
            "FAILED_READ_FILE",
            "TextParsingException",
            "OutOfMemoryError",
        ):
            if known in text:
                start = text.index(known)
                return MailError(f"Spark: {text[start : start + LONGEST_ERROR]}")
        return error


def _first_line(error: Exception) -> str:
    """What happened, without Java's stack trace; for a Java exception, its own message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    java_lines = [line for line in lines if line.startswith(": ")]
    return (java_lines or lines)[0].removeprefix(": ")[:LONGEST_ERROR]


def _pattern(path: Path) -> str:
    """A path whose wildcards are escaped as Hadoop expects."""
    return "".join(f"\\{character}" if character in "*?[]{}\\" else character for character in str(path))
