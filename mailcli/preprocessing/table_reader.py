"""Raw tables on the engine: rows typed, those that cannot be used set aside, the others kept as Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
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
    read_pieces,
)
from mailcli.preprocessing.raw_file import KEPT_CHARACTERS
from mailcli.preprocessing.rejects import DUPLICATE_KEY, SEARCHED, Rejects
from mailcli.preprocessing.sources._base import JOIN, RawData
from mailcli.utils.resumable import ResumableStages

#: Columns whose distinct values are counted in one pass (ours: each takes a MB per thread even without rows).
COUNTED_AT_ONCE = 16
_FAULTY = pa.schema([("fault", pa.int32()), ("line", pa.string())])


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
        # Without their texts, which may take more memory than all else.
        rows = self.engine.collect(self.engine.read_parquet(good).drop("bucket", "fault", "line"))
        key = table.removesuffix("s")
        rows = rows.sort_by(key)
        is_repeated = _is_repeated(rows[key])
        if pc.any(is_repeated, min_count=0).as_py():
            keys = rows[key].filter(is_repeated).unique()
            pieces = (
                piece.filter(pc.is_in(piece[key], value_set=keys.cast(piece[key].type)))
                for piece in read_pieces(good, [*rows.column_names, "line"])
            )
            several = pa.concat_tables(pieces).sort_by([(key, "ascending"), ("line", "ascending")])
            is_repeated = _is_repeated(several[key])
            lines = several["line"].filter(is_repeated)
            faults = pa.array([DUPLICATE_KEY] * len(lines), pa.int32())
            self._set_faulty_aside(table, stage, pa.table({"fault": faults, "line": lines}))
            first = several.filter(pc.invert(is_repeated)).select(rows.column_names).cast(rows.schema)
            others = rows.filter(pc.invert(pc.is_in(rows[key], value_set=keys)))
            rows = pa.concat_tables([others, first]).sort_by(key)
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
        return MailError(f"{path}: no row can be used: the file has none, or none of them satisfies `where`.")

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
        # The rows of a list are not rows of the file.
        counted = [FILTERED, REJECTED, UNNESTED] if (stage / "rows" / f"bucket={UNNESTED}").exists() else ["*"]
        rows = sum(count_rows(folder) for bucket in counted for folder in (stage / "rows").glob(f"bucket={bucket}"))
        broken, rejected = stage / "broken.parquet", stage / "rows" / f"bucket={REJECTED}"

        def pieces() -> Iterator[pa.Table]:
            """The rows that cannot be used, some at a time."""
            read = (read_pieces(path, _FAULTY.names) for path in (broken, rejected))
            for piece in chain(*read, [] if repeated is None else [repeated]):
                # A blank line is not a row; Spark does not report it.
                faulty = piece.filter(pc.invert(self._is_blank(table, piece["line"])))
                yield pa.table([faulty["fault"], pc.utf8_slice_codeunits(faulty["line"], 0, KEPT_CHARACTERS)], _FAULTY)

        count = sum(map(len, pieces()))
        blank = count_rows(broken) + count_rows(rejected) + len(repeated or ()) - count
        rows += count_rows(broken) - blank
        self.facts[f"{table}.rows"] = rows
        faulty = _first(pieces()) if self.rejects.are_too_many(count, rows) else _joined(pieces())
        self.rejects.set_aside(table, rows, faulty, count)


def _is_repeated(keys: pa.ChunkedArray) -> pa.Array:
    """Whether each of some sorted keys is that of the row before it."""
    values = keys.to_numpy()
    return pa.array(np.r_[False, values[1:] == values[:-1]])


def _joined(pieces: Iterable[pa.Table]) -> pa.Table:
    """Rows that cannot be used, in one table."""
    return pa.concat_tables([_FAULTY.empty_table(), *pieces])


def _first(pieces: Iterable[pa.Table]) -> pa.Table:
    """The first SEARCHED rows that cannot be used, in the order of their texts."""
    first = _FAULTY.empty_table()
    for piece in pieces:
        rows = pa.concat_tables([first, piece])
        order = [("line", "ascending"), ("fault", "ascending")]
        first = rows.take(pc.select_k_unstable(rows, SEARCHED, order))
    return first
