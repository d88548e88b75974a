"""Apache Spark: PySpark itself, on this machine or on a cluster that sees the same folders."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import DataEngine, DataFrame, watched

#: Characters of Spark's error texts that are passed on (ours: they may hold a Java trace).
SHOWN = 300
#: Parts of a shuffle on one machine (ours: Spark's own 200 are for a cluster, each costs some 10 ms).
LOCAL_PARTITIONS = 16
#: Spark's notes at its start are noise; errors still show.
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
    # Otherwise only the fields that are used are looked at, and a line's count of them is not.
    "columnPruning": False,
    "maxCharsPerColumn": -1,
    # Spark's own 20,480 would stop it at a line that is all commas.
    "maxColumns": 1_000_000,
}


class Engine(DataEngine):
    """A Spark session of its own, stopped at the end; needs the extra `mail[spark]` and Java 17 or newer."""

    def __init__(self, temp_dir: Path, memory: int, threads: int | None, master: str | None) -> None:
        try:
            import pyspark.sql.functions
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise MailError("--engine spark needs PySpark. Install it: pip install 'mail[spark]'") from error
        self.functions = pyspark.sql.functions
        temp_dir.mkdir(parents=True, exist_ok=True)
        (temp_dir / "log4j2.properties").write_text(_LOG)
        # Arrow alone is used of what this speaks of.
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
            # Nobody else need reach it, and a host name that does not resolve would stop it.
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
            help_ = "" if java else " No Java was found: install 17 or newer."
            raise MailError(f"Spark cannot start{where} ({_first_line(error)}).{help_}") from error
        self._error = PySparkException

    def read_csv(self, path: Path, columns: int) -> DataFrame:
        """Spark puts the text of a broken line into the column `broken` of its row."""
        schema = ", ".join([*(f"c{place} string" for place in range(columns)), "broken string"])
        return self._session.read.options(**_CSV).schema(schema).csv(_pattern(path))

    def read_parquet(self, path: Path) -> DataFrame:
        """As Spark reads it."""
        return self._session.read.parquet(_pattern(path))

    def write(self, frame: DataFrame, folder: Path, title: str, partition_by: str) -> list[str]:
        """Shuffled by the column first, so that a part is one file and not one of every task's."""
        writer = frame.repartition(partition_by).write.partitionBy(partition_by)
        try:
            watched(title, lambda: writer.parquet(str(folder)), self._done, self._session.sparkContext.cancelAllJobs)
        except self._error as error:
            raise self._translated(error) from error
        return []

    def _done(self) -> float:
        """How much of the running stages' tasks is done, in %."""
        tracker = self._session.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        total = sum(stage.numTasks for stage in stages if stage)
        return 100 * sum(stage.numCompletedTasks for stage in stages if stage) / total if total else 0.0

    def collect(self, frame: DataFrame) -> pa.Table:
        """By Arrow batches."""
        try:
            return frame.toArrow()
        except self._error as error:
            raise self._translated(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._session.stop()

    def _translated(self, error: Exception) -> Exception:
        """A full disk or a lost input as one line; any other error is a bug and stays."""
        text = str(error)
        for known in (
            "No space left on device",
            "PATH_NOT_FOUND",
            "FAILED_READ_FILE",
            "TextParsingException",
            "OutOfMemoryError",
        ):
            if known in text:
                at = text.index(known)
                return MailError(f"Spark: {text[at : at + SHOWN]}")
        return error


def _first_line(error: Exception) -> str:
    """What happened, without Java's trace; of an error of Java's own, what Java says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(": ")] or lines
    return told[0].removeprefix(": ")[:SHOWN]


def _pattern(path: Path) -> str:
    """A path without wildcards, as Hadoop escapes them."""
    return "".join(f"\\{character}" if character in "*?[]{}\\" else character for character in str(path))
