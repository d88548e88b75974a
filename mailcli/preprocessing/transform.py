"""Steps 3 and 4 of preprocessing, in this process: from rows split by bucket to the columns of a dataset.

3. Bucket by bucket: sort, find each impression's `history_end`, drop what no impression can see, append raw values.
4. Vocabularies, fitted on training impressions and their histories alone, turn raw values into ids.

Memory is bounded by a bucket and the user and item tables, not by the logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID, PADDING, SPLITS, UNKNOWN, Field, Schema
from mailcli.data.writer import DatasetWriter
from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import DataEngine
from mailcli.preprocessing.extract import Staged
from mailcli.preprocessing.histories import history_bounds, visible
from mailcli.preprocessing.vocabulary import Codes, VocabularyBuilder
from mailcli.utils.prefetch import prefetch
from mailcli.utils.progress import progress

#: Rows that are numbered at a time (ours: some 50 MB).
CHUNK = 1 << 21


class _Table(NamedTuple):
    """Users or items."""

    raw: pa.Array
    """[rows], raw ids."""
    fields: dict[Field, Any]
    """[rows] each, raw values; lists where a field is multi-valued."""
    shown: NDArray[np.bool_]
    """[rows], whether a training impression shows the row."""


@dataclass
class Build:
    """What staging made -> the columns of a dataset, in the order of `run`."""

    schema: Schema
    engine: DataEngine
    writer: DatasetWriter
    history: int
    """n_v, the most behaviors an impression can see."""
    drop_duplicates: bool
    """Whether of behaviors that are alike in all columns one alone is stored."""

    def run(self, staged: Staged) -> dict[str, Any]:
        """Do all steps; what they give for dataset.json."""
        self.vocabularies = {name: VocabularyBuilder() for name in self.schema.vocabularies()}
        self.counts = _counts(staged)
        self._fill(staged)
        rows = _feature_rows(staged)
        tables = {"users": self._users(staged), "items": self._items(staged, rows)}
        # Fields of several tables may share a vocabulary, so no id is given before all values are seen.
        for table in tables.values():
            self._see(table)
        self._number_tables(tables)
        scale = self._scale_items(staged, rows)
        self._number_logs()
        for name, vocabulary in self.vocabularies.items():
            self.writer.write("vocabularies", name, vocabulary.values())
            self.writer.write("unseen", name, vocabulary.unseen())
        return {
            "vocabulary_sizes": {name: len(vocabulary) for name, vocabulary in self.vocabularies.items()},
            "unseen": {name: vocabulary.total - len(vocabulary) for name, vocabulary in self.vocabularies.items()},
            "counts": self.counts,
            "dense": scale,
        }

    # 3. bucket by bucket

    def _fill(self, staged: Staged) -> None:
        """Append raw values of visible behaviors, and the impressions with their `history_end`."""
        per_user = np.zeros(len(staged.users), np.int64)
        self.counts |= dict.fromkeys(
            ("behaviors", "duplicate_behaviors", "older_behaviors", "impressions_without_history"), 0
        )
        buckets = np.unique(staged.users["bucket"])
        with progress("sorting histories", len(buckets), "buckets") as advance:
            # While one bucket is merged, the engine sorts the next.
            for impressions, behaviors in prefetch(lambda bucket: self._load(staged, bucket), buckets, 1):
                self._merge(impressions, behaviors, per_user)
                advance(1)
        self.writer.write("behaviors", "offsets", np.r_[0, np.cumsum(per_user)])
        self.counts["users_without_history"] = int((per_user == 0).sum())

    def _load(self, staged: Staged, bucket: int) -> tuple[pa.Table, pa.Table | None]:
        """A bucket's impressions and behaviors; its users may have none of these."""
        folders = [table / f"bucket={bucket}" for table in (staged.impressions, staged.behaviors)]
        impressions = self._sorted(folders[0], ["row", "time", "item_row", "click"])
        behaviors = self._sorted(folders[1], ["row", "time", "action"]) if folders[1].exists() else None
        return impressions, behaviors

    def _sorted(self, folder: Path, keys: list[str]) -> pa.Table:
        """Rows in the order of the keys and then all other columns, so that no order of the input shows."""
        frame = self.engine.read_parquet(folder)
        columns = [name for name in frame.columns if name not in {"bucket", "fault", "line"}]
        order = [*keys, *(name for name in columns if name not in keys)]
        # Engines differ in where nulls go unless they are told.
        by = [self.engine.functions.col(name).asc_nulls_first() for name in order]
        return self.engine.collect(frame.select(*columns).orderBy(*by))

    def _merge(self, impressions: pa.Table, behaviors: pa.Table | None, per_user: NDArray[np.int64]) -> None:
        """One bucket: append its behaviors and impressions, add to `per_user` how many behaviors each user has."""
        row = impressions["row"].to_numpy()
        time = impressions["time"].to_numpy()
        log = self._columns(behaviors)
        begin, end = history_bounds(log["row"], log["time"], row, time)
        keep = visible(begin, end, len(log["row"]), self.history)
        train = impressions["split"].to_numpy() == 0
        trained = visible(begin[train], end[train], len(keep), self.history)[keep]
        per_user += np.bincount(log["row"][keep], minlength=len(per_user))
        # A place among all sorted behaviors of the bucket -> a place among those that are kept.
        place = np.r_[0, np.cumsum(keep)]
        self._append_impressions(impressions, self.counts["behaviors"] + place[end])
        self._append_behaviors({name: values[keep] for name, values in log.items()}, trained)
        self.counts["behaviors"] += int(place[-1])
        self.counts["older_behaviors"] += int((~keep).sum())
        self.counts["impressions_without_history"] += int((end == begin).sum())

    def _columns(self, behaviors: pa.Table | None) -> dict[str, NDArray]:
        """A bucket's behaviors as arrays, fields as codes; duplicates are counted, and left out if so asked."""
        fields = self.schema.group("behavior")
        if behaviors is None:
            return {name: np.empty(0, np.int64) for name in ("row", "time", "action", *(f.name for f in fields))}
        log = {name: behaviors[name].to_numpy().astype(np.int64) for name in ("row", "time", "action")}
        log |= {field.name: self.vocabularies[field.vocabulary].codes(behaviors[field.name]) for field in fields}
        twin = np.r_[False, np.logical_and.reduce([values[1:] == values[:-1] for values in log.values()])]
        self.counts["duplicate_behaviors"] += int(twin.sum())
        return {name: values[~twin] for name, values in log.items()} if self.drop_duplicates else log

    def _append_behaviors(self, log: dict[str, NDArray], trained: NDArray[np.bool_]) -> None:
        for field in self.schema.group("behavior"):
            self.vocabularies[field.vocabulary].see(log[field.name], trained)
            self.writer.append("raw_behaviors", field.name, log[field.name])
        self.writer.append("behaviors", "action", (log["action"] + FIRST_ID).astype(np.uint8))
        self.writer.append("behaviors", "time", log["time"])

    def _append_impressions(self, impressions: pa.Table, history_end: NDArray[np.int64]) -> None:
        split = impressions["split"].to_numpy()
        columns: dict[str, NDArray] = {
            "user": impressions["row"].to_numpy().astype(np.int32),
            "item": impressions["item_row"].to_numpy().astype(np.int32),
            "time": impressions["time"].to_numpy().astype(np.int64),
            **{name: impressions[name].to_numpy().astype(np.uint8) for name in self.schema.labels},
            "history_end": history_end.astype(np.int64),
        }
        for field in self.schema.group("context"):
            vocabulary = self.vocabularies[field.vocabulary]
            codes = vocabulary.codes(impressions[field.name])
            vocabulary.see(codes, split == 0)
            columns[f"raw_{field.name}"] = codes
        for number, name in enumerate(SPLITS):
            for column, values in columns.items():
                self.writer.append(name, column, values[split == number])

    # 4. ids

    def _users(self, staged: Staged) -> _Table:
        """The users and their attributes by the profile, missing without one."""
        raw, table = staged.users["user"].combine_chunks(), staged.profiles
        profile = pc.index_in(raw, value_set=table["user"].cast(raw.type).combine_chunks())
        self.counts["users_without_profile"] = profile.null_count
        fields = {
            field: raw if field.vocabulary == self.schema.user else table[field.name].take(profile)
            for field in self.schema.group("attributes")
        }
        return _Table(raw, fields, staged.users["train"].to_numpy() > 0)

    def _items(self, staged: Staged, rows: pa.Array) -> _Table:
        """The items and their target fields; `rows` are their places in the table of features."""
        raw, table = staged.items["item"].combine_chunks(), staged.features
        self.counts["items_without_features"] = rows.null_count
        shown = np.zeros(len(raw), bool)
        shown[self.writer.read("train", "item")] = True
        fields = {
            field: raw if field.name == "item" else table[field.name].take(rows)
            for field in self.schema.group("target")
        }
        return _Table(raw, fields, shown)

    def _see(self, table: _Table) -> None:
        """Take the values of users or items into the vocabularies."""
        for field, column in table.fields.items():
            vocabulary, shown = self.vocabularies[field.vocabulary], table.shown
            if field.values > 1:
                column, owner = _flat(field, column)
                shown = shown[owner]
            vocabulary.see(vocabulary.codes(column), shown)

    def _number_tables(self, tables: dict[str, _Table]) -> None:
        """Write the raw ids of users and items, and the ids of their fields."""
        for name, table in tables.items():
            self.writer.write(name, "raw", _plain(table.raw))
            for field, column in table.fields.items():
                vocabulary = self.vocabularies[field.vocabulary]
                many = field.values > 1
                ids = _ids_of_lists(field, vocabulary, column) if many else vocabulary.ids(vocabulary.codes(column))
                self.writer.write(name, field.name, self._small(field, ids))

    def _scale_items(self, staged: Staged, rows: pa.Array) -> dict[str, dict[str, float]]:
        """The standardised dense features of the items, fitted on the training impressions."""
        train_items = self.writer.read("train", "item")
        return {name: self._dense(name, staged.features[name].take(rows), train_items) for name in self.schema.dense}

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
        """Turn the raw values of behaviors and contexts into ids, a chunk at a time."""
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
        """Ids in the smallest type that holds those of the vocabulary and of unseen values."""
        return ids.astype(np.min_scalar_type(self.vocabularies[field.vocabulary].total))


def _feature_rows(staged: Staged) -> pa.Array:
    """[items], where each is in the table of features; null where it is not."""
    raw = staged.items["item"].combine_chunks()
    return pc.index_in(raw, value_set=staged.features["item"].cast(raw.type).combine_chunks())


def _counts(staged: Staged) -> dict[str, int]:
    """Users, items, impressions and clicks."""
    names = [name for split in SPLITS for name in (split, f"{split}_clicks")]
    sums = {name: int(pc.sum(staged.users[name]).as_py()) for name in names}
    return {"users": len(staged.users), "items": len(staged.items), **sums}


def _plain(column: pa.Array) -> NDArray:
    """Raw ids as whole numbers or fixed-width texts, never objects."""
    return np.array(column.to_pylist(), dtype=np.str_) if pa.types.is_string(column.type) else column.to_numpy()


def _flat(field: Field, column: Any) -> tuple[pa.Array, NDArray[np.int64]]:
    """All values of a column of lists, and the row of each (MailError for a list that is too long)."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    length = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if length.max(initial=0) > field.values:
        raise MailError(f"field '{field.name}': a row has {length.max()} values. Expected at most {field.values}.")
    return column.flatten(), np.repeat(np.arange(len(column)), length)


def _ids_of_lists(field: Field, vocabulary: VocabularyBuilder, column: Any) -> NDArray:
    """[rows, values]: unseen values, ascending ids, PADDING behind; an empty or missing list is one UNKNOWN.

    A reader for whom unseen values are UNKNOWN therefore finds ascending ids, too.
    """
    values, owner = _flat(field, column)
    nothing = np.iinfo(np.int64).max
    ids = np.full((len(column), field.values), nothing)
    first = np.searchsorted(owner, np.arange(len(column)))
    ids[owner, np.arange(len(owner)) - first[owner]] = vocabulary.ids(vocabulary.codes(values))
    ids[np.bincount(owner, minlength=len(column)) == 0, 0] = UNKNOWN
    ids.sort(axis=1)
    as_read = np.where((ids >= len(vocabulary)) & (ids < nothing), UNKNOWN, ids)
    ids = np.take_along_axis(ids, np.argsort(as_read, axis=1, kind="stable"), axis=1)
    return np.where(ids == nothing, PADDING, ids)


def _chunks(column: NDArray) -> Iterator[Codes]:
    for start in range(0, max(len(column), 1), CHUNK):
        yield np.asarray(column[start : start + CHUNK])
