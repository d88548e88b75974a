"""The steps from raw tables to a store, written once for every source and engine.

1. The impressions are staged, their users collected, hashed and put in order: (hash, raw id).
2. Behaviours earlier than their user's last impression are staged, split into buckets of consecutive users.
3. Bucket by bucket: sort, find each impression's `history_end`, drop what no impression can see, append raw values.
4. Vocabularies, fitted on training impressions and their histories alone, turn raw values into ids.

Memory is bounded by a bucket and the user and item tables, not by the logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mailcli.engines import DataFrame, DuckDBEngine
from mailcli.errors import MailError
from mailcli.hashing import hash_users
from mailcli.histories import history_bounds, visible
from mailcli.progress import progress
from mailcli.schema import FIRST_ID, PADDING, SPLITS, UNKNOWN, Field
from mailcli.sources import RawData
from mailcli.store import StoreWriter
from mailcli.vocabulary import Codes, VocabularyBuilder

#: Raw bytes per bucket (ours): about four million behaviours, some 300 MB while a bucket is worked on.
BUCKET_BYTES = 128 << 20
#: Rows that are numbered at a time (ours: some 50 MB).
CHUNK = 1 << 21
#: Salt of the hash that orders users; draws of new users use others.
ORDER_SALT = -1


@dataclass
class _Users:
    """The users of the impressions, in the store's order."""

    raw: pa.Array
    trained: NDArray[np.bool_]
    """Whether the user has a training impression."""
    bucket: NDArray[np.int32]


class Build:
    """The steps of one preprocessing, in the order of `run`."""

    def __init__(self, source: RawData, engine: DuckDBEngine, writer: StoreWriter, history: int) -> None:
        self.source = source
        self.schema = source.schema
        self.engine = engine
        self.writer = writer
        self.work = writer.work
        self.history = history
        self.vocabularies = {name: VocabularyBuilder() for name in self.schema.vocabularies()}
        self.counts: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        """Do all steps; what they give for dataset.json."""
        users_table = self.source.users(self.engine)
        items_table = self.source.items(self.engine)
        _refuse_duplicates(users_table, "user", self.source)
        _refuse_duplicates(items_table, "item", self.source)
        self._stage("impressions", self.source.impressions(self.engine))
        users = self._users(users_table)
        items = self._items(items_table)
        self._stage_buckets()
        self._fill(users)
        self._number_rows(users_table, users)
        scale = self._number_items(items_table, items)
        self._number_logs()
        for name, vocabulary in self.vocabularies.items():
            self.writer.write("vocabularies", name, vocabulary.values())
        return {
            "vocabulary_sizes": {name: len(vocabulary) for name, vocabulary in self.vocabularies.items()},
            "counts": self.counts,
            "dense": scale,
        }

    # 1. impressions and their users

    def _stage(self, table: str, frame: DataFrame, partition_by: str | None = None) -> None:
        self.engine.write(frame, self.work / table, f"reading {table}", partition_by)

    def _users(self, table: pa.Table) -> _Users:
        """Users in order of (hash, raw id), with their bucket; refuses bad rows, empty splits, one-class labels."""
        F = self.engine.functions
        staged = self.engine.read_parquet(self.work / "impressions")
        found = self.engine.collect(
            staged.groupBy("user").agg(
                F.max(F.col("bad").cast("int")).alias("bad"),
                F.max("time").alias("last"),
                *(F.sum((F.col("split") == s).cast("int")).alias(name) for s, name in enumerate(SPLITS)),
                *(
                    F.sum(((F.col("split") == s) & (F.col("click") == 1)).cast("int")).alias(f"{name}_clicks")
                    for s, name in enumerate(SPLITS)
                ),
            )
        )
        if pc.max(found["bad"]).as_py():
            raise self.source.bad_row("impressions")
        self._check_labels(found)
        raw = found["user"].combine_chunks()
        values = raw.to_numpy(zero_copy_only=False)
        key = hash_users(values, ORDER_SALT)
        order = np.lexsort((values, key))
        size = sum(path.stat().st_size for path in self.source.files)
        buckets = max(1, size // BUCKET_BYTES)
        # The store's order is that of the hash, so equal parts of the hash's range are runs of consecutive users.
        bucket = (key[order] / 2.0**64 * buckets).astype(np.int32)
        lookup = pa.table(
            {
                "user": raw.take(pa.array(order)),
                "row": np.arange(len(order), dtype=np.int32),
                "bucket": bucket,
                "last": found["last"].combine_chunks().take(pa.array(order)),
            }
        )
        pq.write_table(lookup, self.work / "users.parquet")
        with_profile = pc.is_in(lookup["user"], value_set=table["user"].cast(lookup["user"].type).combine_chunks())
        self.counts["users"] = len(order)
        self.counts["users_without_profile"] = len(order) - int(pc.sum(with_profile).as_py() or 0)
        return _Users(lookup["user"].combine_chunks(), found["train"].to_numpy()[order] > 0, bucket)

    def _check_labels(self, found: pa.Table) -> None:
        total = {name: int(pc.sum(found[name]).as_py()) for name in SPLITS}
        clicks = {name: int(pc.sum(found[f"{name}_clicks"]).as_py()) for name in SPLITS}
        file = self.source.files[0]
        if sum(clicks.values()) in {0, sum(total.values())}:
            only = "0 (no click)" if not sum(clicks.values()) else "1 (click)"
            raise MailError(f"{file}: every label is {only}. Expected both classes.")
        for name in SPLITS:
            if not total[name]:
                raise MailError(f"{file}: no impression falls into the {name} split. Expected some in each.")
            if clicks[name] in {0, total[name]}:
                raise MailError(
                    f"{file}: all {total[name]} labels of the {name} split are equal. Expected both classes."
                )
            self.counts[name] = total[name]
            self.counts[f"{name}_clicks"] = clicks[name]

    def _items(self, table: pa.Table) -> pa.Array:
        """Items in order of the raw id: those of the item table, then those that only impressions have."""
        staged = self.engine.read_parquet(self.work / "impressions")
        seen = self.engine.collect(staged.select("item").distinct())["item"]
        known = table["item"].cast(seen.type)
        lost = seen.filter(pc.invert(pc.is_in(seen, value_set=known.combine_chunks())))
        raw = pa.concat_arrays([*known.chunks, *lost.chunks])
        raw = raw.take(pc.sort_indices(raw))
        lookup = pa.table({"item": raw, "item_row": np.arange(len(raw), dtype=np.int32)})
        pq.write_table(lookup, self.work / "items.parquet")
        self.counts["items"] = len(raw)
        self.counts["items_without_features"] = len(lost)
        return raw

    # 2. buckets

    def _stage_buckets(self) -> None:
        """Write behaviours and impressions split by bucket; -1 holds the bad rows of the log."""
        F = self.engine.functions
        lookup = self.engine.read_parquet(self.work / "users.parquet")
        fields = [field.name for field in self.schema.group("behavior")]
        visible = (F.col("time") < F.col("last")) | F.col("bad")
        self._stage(
            "behaviors",
            self.source.behaviors(self.engine)
            .join(lookup, on="user", how="left")
            .filter(visible)
            .withColumn("bucket", F.when(F.col("bad"), F.lit(-1)).otherwise(F.col("bucket")))
            .select("row", "time", "action", *fields, "bucket"),
            partition_by="bucket",
        )
        if (self.work / "behaviors" / "bucket=-1").exists():
            raise self.source.bad_row("behaviors")
        context = [field.name for field in self.schema.group("context")]
        item_rows = self.engine.read_parquet(self.work / "items.parquet")
        self._stage(
            "sorted",
            self.engine.read_parquet(self.work / "impressions")
            .join(lookup.select("user", "row", "bucket"), on="user")
            .join(item_rows, on="item")
            .select("row", "item_row", "time", *context, "click", "split", "bucket"),
            partition_by="bucket",
        )

    # 3. bucket by bucket

    def _fill(self, users: _Users) -> None:
        """Append raw values of visible behaviours, and the impressions with their `history_end`."""
        per_user = np.zeros(len(users.raw), np.int64)
        with_history = 0
        written = 0
        buckets = np.unique(users.bucket)
        with progress("sorting histories", len(buckets), "buckets") as advance:
            for bucket in buckets:
                impressions = self._bucket("sorted", bucket, ["row", "time", "item_row", "click"])
                behaviors = self._bucket("behaviors", bucket, ["row", "time", "action"])
                assert impressions is not None
                written, seen = self._merge(impressions, behaviors, per_user, written)
                with_history += seen
                advance(1)
        if not written:
            files = ", ".join(path.name for path in self.source.files)
            raise MailError(f"{files}: no behavior is earlier than an impression of its user. MAIL learns from those.")
        self.writer.write("behaviors", "offsets", np.r_[0, np.cumsum(per_user)])
        self.counts["behaviors"] = written
        self.counts["impressions_without_history"] = sum(self.counts[name] for name in SPLITS) - with_history
        self.counts["users_without_history"] = int((per_user == 0).sum())

    def _bucket(self, table: str, bucket: int, keys: list[str]) -> pa.Table | None:
        """A bucket's rows, sorted by the keys and then all other columns, so that no order of the input shows."""
        folder = self.work / table / f"bucket={bucket}"
        if not folder.exists():
            return None
        frame = self.engine.read_parquet(folder)
        columns = [name for name in frame.columns if name != "bucket"]
        order = [*keys, *(name for name in columns if name not in keys)]
        return self.engine.collect(frame.select(*columns).orderBy(*order))

    def _merge(
        self, impressions: pa.Table, behaviors: pa.Table | None, per_user: NDArray[np.int64], written: int
    ) -> tuple[int, int]:
        """One bucket: the count of behaviours written so far, and of impressions with a history."""
        row = impressions["row"].to_numpy()
        time = impressions["time"].to_numpy()
        empty = np.empty(0, np.int64)
        b_row = behaviors["row"].to_numpy() if behaviors else empty
        b_time = behaviors["time"].to_numpy() if behaviors else empty
        begin, end = history_bounds(b_row, b_time, row, time)
        keep = visible(begin, end, len(b_row), self.history)
        train = impressions["split"].to_numpy() == 0
        trained = visible(begin[train], end[train], len(b_row), self.history)[keep]
        if behaviors is not None:
            kept = behaviors.filter(pa.array(keep))
            self._append_behaviors(kept, trained)
            per_user += np.bincount(b_row[keep], minlength=len(per_user))
        # A place among all sorted behaviours of the bucket -> a place among those that are kept.
        place = np.r_[0, np.cumsum(keep)]
        self._append_impressions(impressions, written + place[end])
        return written + int(place[-1]), int((end > begin).sum())

    def _append_behaviors(self, kept: pa.Table, trained: NDArray[np.bool_]) -> None:
        for field in self.schema.group("behavior"):
            vocabulary = self.vocabularies[field.vocabulary]
            codes = vocabulary.codes(kept[field.name])
            vocabulary.see(codes[trained])
            self.writer.append("raw_behaviors", field.name, codes)
        self.writer.append("behaviors", "action", (kept["action"].to_numpy() + FIRST_ID).astype(np.uint8))
        self.writer.append("behaviors", "time", kept["time"].to_numpy().astype(np.int64))

    def _append_impressions(self, impressions: pa.Table, history_end: NDArray[np.int64]) -> None:
        split = impressions["split"].to_numpy()
        columns: dict[str, NDArray] = {
            "user": impressions["row"].to_numpy().astype(np.int32),
            "item": impressions["item_row"].to_numpy().astype(np.int32),
            "time": impressions["time"].to_numpy().astype(np.int64),
            "click": impressions["click"].to_numpy().astype(np.uint8),
            "history_end": history_end.astype(np.int64),
        }
        for field in self.schema.group("context"):
            vocabulary = self.vocabularies[field.vocabulary]
            codes = vocabulary.codes(impressions[field.name])
            vocabulary.see(codes[split == 0])
            columns[f"raw_{field.name}"] = codes
        for number, name in enumerate(SPLITS):
            for column, values in columns.items():
                self.writer.append(name, column, values[split == number])

    # 4. ids

    def _number_rows(self, table: pa.Table, users: _Users) -> None:
        """The user table: attributes by the profile, UNKNOWN without one."""
        table = table.set_column(table.schema.get_field_index("user"), "user", table["user"].cast(users.raw.type))
        profile = pc.index_in(users.raw, value_set=table["user"].combine_chunks())
        self.writer.write("users", "raw", _plain(users.raw))
        for field in self.schema.group("attributes"):
            column = users.raw if field.vocabulary == self.schema.user else table[field.name].take(profile)
            ids = self.vocabularies[field.vocabulary].fit(column, users.trained)
            self.writer.write("users", field.name, self._small(field, ids))

    def _number_items(self, table: pa.Table, raw: pa.Array) -> dict[str, dict[str, float]]:
        """The item table: target fields and standardised dense features, fitted on training impressions' items."""
        table = table.set_column(table.schema.get_field_index("item"), "item", table["item"].cast(raw.type))
        rows = pc.index_in(raw, value_set=table["item"].combine_chunks())
        shown = np.zeros(len(raw), bool)
        train_items = self.writer.read("train", "item")
        shown[train_items] = True
        self.writer.write("items", "raw", _plain(raw))
        for field in self.schema.group("target"):
            column = raw if field.name == "item" else table[field.name].take(rows)
            vocabulary = self.vocabularies[field.vocabulary]
            many = field.values > 1
            ids = _ids_of_lists(field, vocabulary, column, shown) if many else vocabulary.fit(column, shown)
            self.writer.write("items", field.name, self._small(field, ids))
        return {name: self._dense(name, table[name].take(rows), train_items) for name in self.schema.dense}

    def _dense(self, name: str, column: pa.ChunkedArray, train_items: NDArray) -> dict[str, float]:
        """log(1 + x), standardised over the training impressions; a missing value becomes the mean."""
        values = np.log1p(np.maximum(column.to_numpy().astype(np.float64), 0))
        shown = values[train_items]
        if np.isnan(shown).all():
            raise MailError(f"no item of a training impression has a {name}. Expected item rows for the impressions.")
        mean, std = float(np.nanmean(shown)), float(np.nanstd(shown)) or 1.0
        self.writer.write("items", name, np.nan_to_num((values - mean) / std).astype(np.float32))
        return {"log1p_mean": mean, "log1p_std": std}

    def _number_logs(self) -> None:
        """Turn the raw values of behaviours and contexts into ids, a chunk at a time."""
        jobs = [("behaviors", "raw_behaviors", field.name, field) for field in self.schema.group("behavior")]
        jobs += [
            (split, split, f"raw_{field.name}", field) for split in SPLITS for field in self.schema.group("context")
        ]
        with progress("numbering", len(jobs), "columns") as advance:
            for table, raw_table, raw_name, field in jobs:
                vocabulary = self.vocabularies[field.vocabulary]
                for codes in _chunks(self.writer.read(raw_table, raw_name)):
                    self.writer.append(table, field.name, self._small(field, vocabulary.ids(codes)))
                (self.writer.folder / raw_table / f"{raw_name}.npy").unlink()
                advance(1)
        self.writer.remove("raw_behaviors")

    def _small(self, field: Field, ids: NDArray) -> NDArray:
        """Ids in the smallest type that holds the vocabulary."""
        return ids.astype(np.min_scalar_type(len(self.vocabularies[field.vocabulary])))


def _refuse_duplicates(table: pa.Table, key: str, source: RawData) -> None:
    column = table[key]
    if pc.count_distinct(column).as_py() == len(column):
        return
    counts = column.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0]
    files = ", ".join(path.name for path in source.files)
    raise MailError(f"{key} {twice} has more than one row in the {key} table of {files}. Expected one row each.")


def _plain(column: pa.Array) -> NDArray:
    """Raw ids as whole numbers or fixed-width texts, never objects."""
    return np.array(column.to_pylist(), dtype=np.str_) if pa.types.is_string(column.type) else column.to_numpy()


def _ids_of_lists(field: Field, vocabulary: VocabularyBuilder, column: Any, shown: NDArray[np.bool_]) -> NDArray:
    """[rows, values], ascending ids at the front and PADDING behind; an empty or missing list is one UNKNOWN."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    length = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if length.max(initial=0) > field.values:
        raise MailError(f"field '{field.name}': a row has {length.max()} values. Expected at most {field.values}.")
    codes: Codes = vocabulary.codes(column.flatten())
    owner = np.repeat(np.arange(len(column)), length)
    vocabulary.see(codes[shown[owner]])
    ids = np.full((len(column), field.values), np.iinfo(np.int64).max)
    ids[owner, np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)] = vocabulary.ids(codes)
    ids[length == 0, 0] = UNKNOWN
    ids.sort(axis=1)
    return np.where(ids == np.iinfo(np.int64).max, PADDING, ids)


def _chunks(column: NDArray) -> Iterator[Codes]:
    for start in range(0, max(len(column), 1), CHUNK):
        yield np.asarray(column[start : start + CHUNK])
