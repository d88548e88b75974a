"""Raw tables on the engine: rows typed, those that cannot be used set aside, the others kept as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.extracted_tables import (
    FILTERED,
    NO_IMPRESSION,
    REJECTED,
    TOO_LATE,
    UNNESTED,
    count_rows,
    read_parquet,
)
from mailcli.preprocessing.raw_file import KEPT_CHARACTERS
from mailcli.preprocessing.rejects import DUPLICATE_KEY, Rejects
from mailcli.preprocessing.sources._base import JOIN, RawData
from mailcli.utils.resumable import ResumableStages

#: Columns whose distinct values are counted in one pass (ours: each takes a MB per thread even without rows).
COUNTED_AT_ONCE = 16


class TableReader:
    """Reads each raw table once; each is a stage.

    Args:
        source: the raw data.
        engine: reads and writes it.
        stages: where finished stages are kept.
        rejects: takes the rows that cannot be used.
    """

    def __init__(self, source: RawData, engine: DataEngine, stages: ResumableStages, rejects: Rejects) -> None:
        self.source = source
        self.schema = source.schema
        self.engine = engine
        self.stages = stages
        self.rejects = rejects
        self.facts: dict[str, int] = {}
        """Rows and distinct values of the tables read so far, by the names of RawData.official."""

    def users(self) -> pa.Table:
        """The user table, each user once."""
        return self._unique_rows("users", self.source.users(self.engine))

    def items(self) -> pa.Table:
        """The item table, each item once."""
        return self._unique_rows("items", self.source.items(self.engine))

    def _unique_rows(self, table: str, frame: DataFrame) -> pa.Table:
        """A small table in memory, one row per key: of several rows, the first in the order of their text."""
        stage, good = self._usable(table, frame)
        rows = self.engine.collect(self.engine.read_parquet(good).drop("bucket", "fault"))
        key = table.removesuffix("s")
        rows = rows.sort_by([(key, "ascending"), ("line", "ascending")])
        keys = rows[key].to_numpy()
        repeated = np.r_[False, keys[1:] == keys[:-1]]
        if repeated.any():
            lines = rows["line"].filter(pa.array(repeated))
            faults = pa.array([DUPLICATE_KEY] * len(lines), pa.int32())
            self._set_faulty_aside(table, stage, pa.table({"fault": faults, "line": lines}))
        rows = rows.filter(pa.array(~repeated)).drop_columns("line")
        for name in rows.column_names:
            if not pa.types.is_list(rows[name].type):
                self.facts[f"{table}.{name}"] = pc.count_distinct(rows[name], mode="only_valid").as_py()
        return rows

    def joined(self) -> None:
        """The rows of files joined to the impressions, which are counted."""
        frame = self.source.joined(self.engine)
        if frame is not None:
            bucket = self._rejected().otherwise(self.engine.functions.lit(0))
            self._set_faulty_aside(JOIN, self._stage(JOIN, frame.withColumn("bucket", bucket)))

    def impressions(self) -> Path:
        """The folder of the impressions that can be used."""
        _, good = self._usable("impressions", self.source.impressions(self.engine))
        F = self.engine.functions
        names = ["user", *(field.name for field in self.schema.group("context"))]
        for start in range(0, len(names), COUNTED_AT_ONCE):
            part = names[start : start + COUNTED_AT_ONCE]
            distinct = (F.countDistinct(self.engine.column(name)).alias(name) for name in part)
            counts = self.engine.collect(self.engine.read_parquet(good).agg(*distinct))
            self.facts |= {f"impressions.{name}": counts[name][0].as_py() for name in part}
        return good

    def behaviors(self, user_keys: Path) -> Path:
        """The folder of the log, split by bucket; rows in negative buckets are kept without their values.

        Args:
            user_keys: Parquet file with `user, row, bucket, last`.
        """
        F = self.engine.functions
        users = self.engine.read_parquet(user_keys).select("user", "row", "bucket", "last")
        fields = [field.name for field in self.schema.group("behavior")]
        bucket = (
            self._rejected()
            .when(F.col("row").isNull(), F.lit(NO_IMPRESSION))
            .when(F.col("time") >= F.col("last"), F.lit(TOO_LATE))
            .otherwise(F.col("bucket"))
        )
        joined = self.source.behaviors(self.engine).join(users, on="user", how="left")
        in_dataset = F.col("bucket") >= 0
        columns = (
            F.when(in_dataset, self.engine.column(name)).alias(name) for name in ("row", "time", "action", *fields)
        )
        stage = self._stage(
            "behaviors", joined.withColumn("bucket", bucket).select(*columns, "fault", "line", "bucket")
        )
        self._set_faulty_aside("behaviors", stage)
        unusable = sum(count_rows(stage / "rows" / f"bucket={bucket}") for bucket in (REJECTED, FILTERED))
        if count_rows(stage / "rows") == unusable:
            raise self._no_usable_row("behaviors")
        return stage / "rows"

    # Every table

    def _stage(self, table: str, frame: DataFrame) -> Path:
        """The folder with the rows of a raw table, split by the frame's column `bucket`."""

        def write(folder: Path) -> None:
            lines = self.engine.write(frame, folder / "rows", f"reading {table}", "bucket")
            if lines:
                pq.write_table(self.source.raw_files[table].broken(lines), folder / "broken.parquet")

        return self.stages.run(table, write)

    def _usable(self, table: str, frame: DataFrame) -> tuple[Path, Path]:
        """The stage of a table that is not split by user, and the folder of its usable rows (MailError for none)."""
        F = self.engine.functions
        stage = self._stage(table, frame.withColumn("bucket", self._rejected().otherwise(F.lit(0))))
        self._set_faulty_aside(table, stage)
        good = stage / "rows" / "bucket=0"
        if not good.exists():
            raise self._no_usable_row(table)
        return stage, good

    def _no_usable_row(self, table: str) -> MailError:
        first = self.rejects.first(table)
        if first:
            return MailError(f"{first}. No row can be used.")
        path = self.source.path_of(table)
        return MailError(f"{path}: no row can be used: the file has none, or `where` is true for none.")

    def _is_blank(self, table: str, lines: pa.ChunkedArray) -> pa.ChunkedArray:
        """Whether each line is blank."""
        file = self.source.raw_files.get(table)
        formats = [row_format for row_format in file.row_formats.values() if row_format] if file else []
        if not formats or not formats[0].blank:
            return pa.chunked_array([np.zeros(len(lines), bool)])
        return pc.equal(pc.ascii_trim(lines, formats[0].blank), "")

    def _rejected(self) -> Any:
        """The bucket of a row with a fault, as the beginning of a CASE."""
        F = self.engine.functions
        fault = F.col("fault")
        return F.when(fault.isin(FILTERED, UNNESTED), fault).when(fault.isNotNull(), F.lit(REJECTED))

    def _set_faulty_aside(self, table: str, stage: Path, repeated: pa.Table | None = None) -> None:
        """Count a table's rows, and set aside those that cannot be used (`repeated`: of a key that had its row)."""
        none = pa.table({"fault": pa.array([], pa.int32()), "line": pa.array([], pa.string())})
        broken = read_parquet(stage / "broken.parquet") or none
        rejected = read_parquet(stage / "rows" / f"bucket={REJECTED}") or none
        parts = [part.select(["fault", "line"]) for part in (broken, rejected, repeated or none)]
        # Spark marks columns that cannot be null.
        faulty = pa.concat_tables(parts, promote_options="default")
        # A blank line is not a row; Spark does not report it.
        blank = self._is_blank(table, faulty["line"])
        # The rows of a list are not rows of the file.
        counted = [FILTERED, REJECTED, UNNESTED] if (stage / "rows" / f"bucket={UNNESTED}").exists() else ["*"]
        rows = sum(count_rows(folder) for bucket in counted for folder in (stage / "rows").glob(f"bucket={bucket}"))
        rows += len(broken) - (pc.sum(blank).as_py() or 0)
        faulty = faulty.filter(pc.invert(blank))
        lines = pc.utf8_slice_codeunits(faulty["line"], 0, KEPT_CHARACTERS)
        self.facts[f"{table}.rows"] = rows
        self.rejects.set_aside(table, rows, faulty.set_column(faulty.schema.get_field_index("line"), "line", lines))
