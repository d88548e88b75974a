"""Step 3 of preprocessing, bucket by bucket: histories sorted, `history_end` found, raw values appended.

Behaviors that no impression can see are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID, SPLITS, Schema
from mailcli.data.writer import DatasetWriter
from mailcli.preprocessing.engines._base import DataEngine
from mailcli.preprocessing.extracted_tables import ExtractedTables
from mailcli.preprocessing.histories import history_bounds, visible
from mailcli.preprocessing.vocabulary import VocabularyBuilder
from mailcli.utils.prefetch import prefetch
from mailcli.utils.progress import progress


@dataclass
class HistoryWriter:
    """Rows split by bucket -> behaviors and impressions of the dataset, fields still as raw values."""

    schema: Schema
    engine: DataEngine
    writer: DatasetWriter
    vocabularies: dict[str, VocabularyBuilder]
    """They see the values of training impressions and their histories."""
    history: int
    """n_v, the most behaviors an impression can see."""
    drop_duplicates: bool
    """Whether behaviors that are equal in all columns are stored once."""

    def run(self, tables: ExtractedTables) -> dict[str, int]:
        """Append the visible behaviors, and the impressions with their `history_end`; the counts for dataset.json."""
        self.counts = dict.fromkeys(
            ("behaviors", "duplicate_behaviors", "older_behaviors", "impressions_without_history"), 0
        )
        behaviors_per_user = np.zeros(len(tables.users), np.int64)
        buckets = np.unique(tables.users["bucket"])
        with progress("sorting histories", len(buckets), "buckets") as advance:
            # While one bucket is written, the engine sorts the next.
            for impressions, behaviors in prefetch(lambda bucket: self._load(tables, bucket), buckets, 1):
                self._write(impressions, behaviors, behaviors_per_user)
                advance(1)
        self.writer.write("behaviors", "offsets", np.r_[0, np.cumsum(behaviors_per_user)])
        return {**self.counts, "users_without_history": int((behaviors_per_user == 0).sum())}

    def _load(self, tables: ExtractedTables, bucket: int) -> tuple[pa.Table, pa.Table | None]:
        """A bucket's impressions and behaviors; its users may have no behaviors."""
        folders = [table / f"bucket={bucket}" for table in (tables.impressions, tables.behaviors)]
        impressions = self._sorted(folders[0], ["row", "time", "item_row", "click"])
        behaviors = self._sorted(folders[1], ["row", "time", "action"]) if folders[1].exists() else None
        return impressions, behaviors

    def _sorted(self, folder: Path, keys: list[str]) -> pa.Table:
        """Rows in the order of the keys and then all other columns, so that the order of the input does not matter."""
        frame = self.engine.read_parquet(folder)
        names = [name for name in frame.columns if name not in {"bucket", "fault", "line"}]
        order = [*keys, *(name for name in names if name not in keys)]
        # By default, engines differ in where nulls go.
        by = [self.engine.column(name).asc_nulls_first() for name in order]
        return self.engine.collect(frame.select(*map(self.engine.column, names)).orderBy(*by))

    def _write(self, impressions: pa.Table, behaviors: pa.Table | None, behaviors_per_user: NDArray[np.int64]) -> None:
        """Append the behaviors and impressions of one bucket, and add each user's behaviors to `behaviors_per_user`."""
        row = impressions["row"].to_numpy()
        time = impressions["time"].to_numpy()
        log = self._columns(behaviors)
        begin, end = history_bounds(log["row"], log["time"], row, time)
        keep = visible(begin, end, len(log["row"]), self.history)
        train = impressions["split"].to_numpy() == 0
        seen_in_train = visible(begin[train], end[train], len(keep), self.history)[keep]
        behaviors_per_user += np.bincount(log["row"][keep], minlength=len(behaviors_per_user))
        # From a position among all behaviors of the bucket to one among those that are kept.
        position = np.r_[0, np.cumsum(keep)]
        self._append_impressions(impressions, self.counts["behaviors"] + position[end])
        self._append_behaviors({name: values[keep] for name, values in log.items()}, seen_in_train)
        self.counts["behaviors"] += int(position[-1])
        self.counts["older_behaviors"] += int((~keep).sum())
        self.counts["impressions_without_history"] += int((end == begin).sum())

    def _columns(self, behaviors: pa.Table | None) -> dict[str, NDArray]:
        """A bucket's behaviors as arrays, fields as codes; duplicates are counted, and dropped if so configured."""
        fields = self.schema.group("behavior")
        if behaviors is None:
            names = ("row", "time", "action", *(field.name for field in fields))
            return {name: np.empty(0, np.int64) for name in names}
        log = {name: behaviors[name].to_numpy().astype(np.int64) for name in ("row", "time", "action")}
        log |= {field.name: self.vocabularies[field.vocabulary].codes(behaviors[field.name]) for field in fields}
        duplicate = np.r_[False, np.logical_and.reduce([values[1:] == values[:-1] for values in log.values()])]
        self.counts["duplicate_behaviors"] += int(duplicate.sum())
        return {name: values[~duplicate] for name, values in log.items()} if self.drop_duplicates else log

    def _append_behaviors(self, log: dict[str, NDArray], seen_in_train: NDArray[np.bool_]) -> None:
        for field in self.schema.group("behavior"):
            self.vocabularies[field.vocabulary].see(log[field.name], seen_in_train)
            self.writer.append("raw_behaviors", field.name, log[field.name])
        self.writer.append("behaviors", "action", (log["action"] + FIRST_ID).astype(np.uint8))
        self.writer.append("behaviors", "time", log["time"])

    def _append_impressions(self, impressions: pa.Table, history_end: NDArray[np.int64]) -> None:
        split = impressions["split"].to_numpy()
        raw: dict[str, NDArray] = {}
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
            raw[field.name] = codes
        for number, name in enumerate(SPLITS):
            for table, values_by_column in ((name, columns), (f"raw_{name}", raw)):
                for column, values in values_by_column.items():
                    self.writer.append(table, column, values[split == number])
