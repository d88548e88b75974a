"""Steps 1 and 2 of preprocessing, on the engine: rows typed and checked, users in order, rows split by bucket.

Each step is a stage: its folder is whole or not there, and what comes after reads the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mailcli.data.hashing import hash_users, share_of_users
from mailcli.data.schema import SPLITS
from mailcli.errors import MAX_QUOTED, MailError
from mailcli.preprocessing.consistency import check_items, check_times, check_users
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.rejects import SECOND, Rejects
from mailcli.preprocessing.sources._base import RawData
from mailcli.utils.resumable import ResumableStages

#: Raw bytes per bucket (ours): about eight million behaviors, some 600 MB while a bucket is worked on.
BUCKET_BYTES = 256 << 20
#: How much larger a log is than its .gz (ours, from the simulated log; it decides the size of buckets alone).
UNPACKED = 4
#: Salts of the hashes that order and sample users; draws of new users use others.
ORDER_SALT, SAMPLE_SALT = -1, -2
#: Rows of the log that are looked at before anything slow (ours).
LOOKED_AT = 1000
#: Characters of an unusable line that are kept: as many as DuckDB keeps.
LONGEST_LINE = 10_000
#: Most users of a bucket (ours): a history's key has 22 bits for them.
USERS_PER_BUCKET = 1 << 20
#: Buckets of rows that are not stored: unusable, of a user without impressions, not before the user's last impression.
REJECTED, NO_IMPRESSION, TOO_LATE = -1, -2, -3


@dataclass(frozen=True)
class Staged:
    """What the engine made of the raw tables."""

    profiles: pa.Table
    """The user table, each user once."""
    features: pa.Table
    """The item table, each item once."""
    users: pa.Table
    """The impressions' users in the dataset's order: `user, row, bucket, last`, clicks and impressions by split."""
    items: pa.Table
    """The items of table and impressions in the dataset's order: `item, item_row, impressions, known` to the table."""
    impressions: Path
    """Impressions below `bucket=N`: `row, item_row, time`, context fields, labels, `split`."""
    behaviors: Path
    """Behaviors before their user's last impression below `bucket=N`: `row, time, action`, behavior fields."""
    facts: dict[str, int]
    """Rows and distinct values, by the names of RawData.official."""
    unseen: dict[int, int]
    """How many behaviors NO_IMPRESSION and TOO_LATE leave out."""


class Staging:
    """The steps in the order of `run`.

    Args:
        source: the raw data.
        engine: what works on it.
        stages: where finished steps are kept.
        rejects: takes the rows that cannot be used.
        sample: share of the users to keep.
        expect_official: whether rows and distinct values must be those of the published files.
    """

    def __init__(
        self,
        source: RawData,
        engine: DataEngine,
        stages: ResumableStages,
        rejects: Rejects,
        sample: float,
        expect_official: bool,
    ) -> None:
        self.source = source
        self.schema = source.schema
        self.engine = engine
        self.stages = stages
        self.rejects = rejects
        self.sample = sample
        self.expect_official = expect_official
        self.facts: dict[str, int] = {}

    def run(self) -> Staged:
        """Do all steps that are not done yet, from the small tables to the long log."""
        self._check_log()
        early = self._impressions() if self.source.shown_first else None
        profiles = self._whole("users", self.source.users(self.engine))
        features = self._whole("items", self.source.items(self.engine))
        impressions = early or self._impressions()
        self._compare()
        keys = self.stages.run("keys", lambda folder: self._make_keys(impressions, features["item"], folder))
        users, items = (pq.read_table(keys / f"{table}.parquet") for table in ("users", "items"))
        self._check_labels(users)
        check_users(self.source, users, profiles)
        check_items(self.source, items, features)
        behaviors = self._behaviors(keys)
        self._compare()
        shown = self.stages.run("shown", lambda folder: self._make_shown(impressions, keys, folder)) / "rows"
        unseen = {bucket: _rows(behaviors / f"bucket={bucket}") for bucket in (NO_IMPRESSION, TOO_LATE)}
        if _rows(behaviors) == sum(unseen.values()) + _rows(behaviors / f"bucket={REJECTED}"):
            files = ", ".join(path.name for path in self.source.files)
            raise MailError(f"{files}: no behavior is earlier than an impression of its user. MAIL learns from those.")
        check_times(self.source, behaviors.glob("bucket=[0-9]*/*.parquet"), impressions.glob("*.parquet"))
        return Staged(profiles, features, users, items, shown, behaviors, self.facts, unseen)

    def _check_log(self) -> None:
        """Refuse a log of which no row that is looked at can be used, before anything slow (MailError)."""
        file = self.source.csv.get("behaviors")
        look = file.scattered(self.stages.temp, LOOKED_AT) if file else None
        if not file or not look or self.rejects.limit >= 1:
            return
        rows = self.engine.collect(look.frame(self.engine).select("fault", "line"))
        if len(rows) and rows["fault"].null_count == 0:
            first, line = rows["fault"][0].as_py(), rows["line"][0].as_py()
            raise MailError(
                f"{file.path}: of {len(rows):,} rows from all over the file none can be used. In {line[:MAX_QUOTED]!r} "
                f"{file.explain(first, line)}."
            )

    # Every table

    def _part(self) -> Any:
        """The bucket of a table that is not split: 0, or REJECTED."""
        F = self.engine.functions
        return F.when(F.col("fault").isNotNull(), F.lit(REJECTED)).otherwise(F.lit(0))

    def _stage(self, table: str, frame: DataFrame) -> Path:
        """The rows of a raw table, by its column `bucket`."""

        def make(folder: Path) -> None:
            lines = self.engine.write(frame, folder / "rows", f"reading {table}", "bucket")
            if lines:
                pq.write_table(self.source.csv[table].broken(lines), folder / "broken.parquet")

        return self.stages.run(table, make)

    def _take_faulty(self, table: str, stage: Path, others: pa.Table | None = None) -> None:
        """Count a staged table's rows, and set aside those that cannot be used."""
        none = pa.table({"fault": pa.array([], pa.int32()), "line": pa.array([], pa.string())})
        broken = _read(stage / "broken.parquet") or none
        rejected = _read(stage / "rows" / f"bucket={REJECTED}") or none
        self.facts[f"{table}.rows"] = _rows(stage / "rows") + len(broken)
        parts = [part.select(["fault", "line"]) for part in (broken, rejected, others or none)]
        # Spark says which columns cannot be null.
        faulty = pa.concat_tables(parts, promote_options="default")
        # A line of blanks is no row; Spark does not tell of it.
        blank = pc.equal(pc.utf8_trim_whitespace(faulty["line"]), "")
        self.facts[f"{table}.rows"] -= pc.sum(blank).as_py() or 0
        faulty = faulty.filter(pc.invert(blank))
        lines = pc.utf8_slice_codeunits(faulty["line"], 0, LONGEST_LINE)
        faulty = faulty.set_column(faulty.schema.get_field_index("line"), "line", lines)
        self.rejects.take(table, self.facts[f"{table}.rows"], faulty)

    def _usable(self, table: str, stage: Path) -> Path:
        """The rows that can be used, of a table that is not split."""
        self._take_faulty(table, stage)
        good = stage / "rows" / "bucket=0"
        if not good.exists():
            first = self.rejects.first(table)
            if first:
                raise MailError(f"{first}. No row can be used.")
            raise MailError(
                f"{self.source.csv[table].path}: no row can be used: there is none, or none for which `where` holds."
            )
        return good

    def _compare(self) -> None:
        """Refuse files that are not the published ones (MailError)."""
        if not self.expect_official:
            return
        wrong = [
            f"{name} {self.facts[name]:,} (published {count:,})"
            for name, count in self.source.official.items()
            if name in self.facts and self.facts[name] != count
        ]
        if wrong:
            raise MailError(
                f"{self.source.files[0].parent}: not the published files: {', '.join(wrong)}. "
                f"Get them again, or leave out --expect-official."
            )

    # The small tables

    def _whole(self, table: str, frame: DataFrame) -> pa.Table:
        """A small table in memory, one row per key: of several the first in the order of their text is kept."""
        stage = self._stage(table, frame.withColumn("bucket", self._part()))
        good = self._usable(table, stage)
        rows = self.engine.collect(self.engine.read_parquet(good).drop("bucket", "fault"))
        key = table[:-1]
        rows = rows.sort_by([(key, "ascending"), ("line", "ascending")])
        keys = rows[key].to_numpy()
        second = np.r_[False, keys[1:] == keys[:-1]]
        if second.any():
            lines = rows["line"].filter(pa.array(second))
            twice = pa.table({"fault": pa.array([SECOND] * len(lines), pa.int32()), "line": lines})
            self._take_faulty(table, stage, twice)
        rows = rows.filter(pa.array(~second)).drop_columns("line")
        for name in rows.column_names:
            if not pa.types.is_list(rows[name].type):
                self.facts[f"{table}.{name}"] = pc.count_distinct(rows[name], mode="only_valid").as_py()
        return rows

    # Impressions, their users and items

    def _impressions(self) -> Path:
        frame = self.source.impressions(self.engine)
        good = self._usable("impressions", self._stage("impressions", frame.withColumn("bucket", self._part())))
        F = self.engine.functions
        names = ["user", *(field.name for field in self.schema.group("context"))]
        counts = self.engine.collect(
            self.engine.read_parquet(good).agg(*(F.countDistinct(name).alias(name) for name in names))
        )
        self.facts |= {f"impressions.{name}": counts[name][0].as_py() for name in names}
        return good

    def _make_keys(self, impressions: Path, known_items: pa.ChunkedArray, folder: Path) -> None:
        """Users in order of (hash, raw id), with their bucket; items in order of the raw id."""
        F = self.engine.functions
        staged = self.engine.read_parquet(impressions)
        users = self.engine.collect(staged.groupBy("user").agg(F.max("time").alias("last"), *_counts(F)))
        raw = users["user"].combine_chunks().to_numpy(zero_copy_only=False)
        users = users.filter(pa.array(share_of_users(raw, self.sample, SAMPLE_SALT)))
        raw = users["user"].combine_chunks().to_numpy(zero_copy_only=False)
        key = hash_users(raw, ORDER_SALT)
        order = np.lexsort((raw.astype(np.str_) if raw.dtype == object else raw, key))
        size = sum(path.stat().st_size * (UNPACKED if path.suffix == ".gz" else 1) for path in self.source.files)
        buckets = max(1, int(size * self.sample) // BUCKET_BYTES, len(raw) // USERS_PER_BUCKET)
        lookup = users.take(pa.array(order))
        lookup = lookup.append_column("row", pa.array(np.arange(len(order), dtype=np.int32)))
        # The dataset's order is that of the hash, so equal parts of the hash's range are runs of consecutive users.
        lookup = lookup.append_column("bucket", pa.array((key[order] / 2.0**64 * buckets).astype(np.int32)))
        pq.write_table(lookup, folder / "users.parquet")
        kept = self.engine.read_parquet(folder / "users.parquet").select("user")
        seen = self.engine.collect(
            staged.join(kept, on="user").groupBy("item").agg(F.count(F.lit(1)).alias("impressions"))
        )
        pq.write_table(_all_items(known_items, seen), folder / "items.parquet")

    def _check_labels(self, users: pa.Table) -> None:
        """Every split has impressions of both classes (MailError)."""
        total = {name: pc.sum(users[name]).as_py() or 0 for name in SPLITS}
        clicks = {name: pc.sum(users[f"{name}_clicks"]).as_py() or 0 for name in SPLITS}
        file = self.source.files[0] if not self.source.csv else self.source.csv["impressions"].path
        kept = f" Of the users, --sample kept {len(users):,}." if self.sample < 1 else ""
        if sum(clicks.values()) in {0, sum(total.values())}:
            only = "0 (no click)" if not sum(clicks.values()) else "1 (click)"
            raise MailError(f"{file}: every label is {only}. Expected both classes.{kept}")
        for name in SPLITS:
            if not total[name]:
                raise MailError(f"{file}: no impression falls into the {name} split. Expected some in each.{kept}")
            if clicks[name] in {0, total[name]}:
                raise MailError(
                    f"{file}: all {total[name]} labels of the {name} split are equal. Expected both classes.{kept}"
                )

    # Buckets

    def _behaviors(self, keys: Path) -> Path:
        """The log split by bucket; of a row that is not stored nothing is kept but its number."""
        F = self.engine.functions
        lookup = self.engine.read_parquet(keys / "users.parquet").select("user", "row", "bucket", "last")
        fields = [field.name for field in self.schema.group("behavior")]
        bucket = (
            F.when(F.col("fault").isNotNull(), F.lit(REJECTED))
            .when(F.col("row").isNull(), F.lit(NO_IMPRESSION))
            .when(F.col("time") >= F.col("last"), F.lit(TOO_LATE))
            .otherwise(F.col("bucket"))
        )
        joined = self.source.behaviors(self.engine).join(lookup, on="user", how="left")
        stored = F.col("bucket") >= 0
        columns = (F.when(stored, F.col(name)).alias(name) for name in ("row", "time", "action", *fields))
        frame = joined.withColumn("bucket", bucket).select(*columns, "fault", "line", "bucket")
        stage = self._stage("behaviors", frame)
        self._take_faulty("behaviors", stage)
        return stage / "rows"

    def _make_shown(self, impressions: Path, keys: Path, folder: Path) -> None:
        """The impressions split by bucket, with the rows of their users and items."""
        users = self.engine.read_parquet(keys / "users.parquet").select("user", "row", "bucket")
        items = self.engine.read_parquet(keys / "items.parquet").select("item", "item_row")
        context = [field.name for field in self.schema.group("context")]
        frame = (
            self.engine.read_parquet(impressions)
            .drop("bucket")
            .join(users, on="user")
            .join(items, on="item")
            .select("row", "item_row", "time", *context, *self.schema.labels, "split", "bucket")
        )
        self.engine.write(frame, folder / "rows", "splitting impressions", "bucket")


def _counts(F: Any) -> Iterator[Any]:
    """Impressions and clicks by split; DuckDB's sums are wider than Spark's."""
    for number, name in enumerate(SPLITS):
        within = F.col("split") == F.lit(number)
        yield F.sum(within.cast("bigint")).cast("bigint").alias(name)
        yield F.sum((within & (F.col("click") == F.lit(1))).cast("bigint")).cast("bigint").alias(f"{name}_clicks")


def _all_items(known: pa.ChunkedArray, seen: pa.Table) -> pa.Table:
    """Items of the item table and of impressions in order of the raw id: `item, item_row, impressions`, `known`."""
    known = known.cast(seen["item"].type).combine_chunks()
    lost = pc.invert(pc.is_in(seen["item"], value_set=known))
    items = pa.concat_arrays([known, *seen["item"].filter(lost).chunks])
    items = items.take(pc.sort_indices(items))
    place = pc.index_in(items, value_set=seen["item"].combine_chunks())
    return pa.table(
        {
            "item": items,
            "item_row": np.arange(len(items), dtype=np.int32),
            "impressions": pc.fill_null(seen["impressions"].combine_chunks().take(place), 0),
            "known": pc.is_in(items, value_set=known),
        }
    )


def _rows(folder: Path) -> int:
    """Rows of the Parquet files below a folder."""
    return sum(pq.ParquetFile(path).metadata.num_rows for path in folder.rglob("*.parquet"))


def _read(path: Path) -> pa.Table | None:
    """A Parquet file, or the files directly in a folder; None where there is nothing."""
    return pq.read_table(path, partitioning=None) if path.exists() else None
