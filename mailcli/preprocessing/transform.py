"""Steps 3 and 4 of preprocessing, in this process: from rows split by bucket to the columns of a dataset.

3. Bucket by bucket: sort, find each impression's `history_end`, drop what no impression can see, append raw values.
4. Vocabularies, fitted only on training impressions and their histories, turn raw values into ids.

Memory is bounded by a bucket and the user and item tables, not by the logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.schema import SPLITS, Field, Schema
from mailcli.data.writer import DatasetWriter
from mailcli.preprocessing.column_checks import SeenIds
from mailcli.preprocessing.engines._base import DataEngine
from mailcli.preprocessing.extracted_tables import ExtractedTables
from mailcli.preprocessing.feature_table import FeatureTable, field_ids, positions, standardize
from mailcli.preprocessing.history_writer import HistoryWriter
from mailcli.preprocessing.vocabulary import Codes, VocabularyBuilder
from mailcli.utils.progress import progress

#: Rows that get their ids at a time (ours: some 50 MB).
CHUNK = 1 << 21


@dataclass
class Transform:
    """Extracted tables -> the columns of a dataset, in the order of `run`."""

    schema: Schema
    engine: DataEngine
    writer: DatasetWriter
    history: int
    """n_v, the most behaviors an impression can see."""
    drop_duplicates: bool
    """Whether behaviors that are equal in all columns are stored once."""

    def run(self, extracted: ExtractedTables) -> dict[str, Any]:
        """Do both steps; returns what they add to dataset.json."""
        self.vocabularies = {name: VocabularyBuilder() for name in self.schema.vocabularies()}
        self.seen = SeenIds()
        self.counts = _counts(extracted)
        histories = HistoryWriter(
            self.schema, self.engine, self.writer, self.vocabularies, self.history, self.drop_duplicates
        )
        self.counts |= histories.run(extracted)
        rows = positions(extracted.items["item"].combine_chunks(), extracted.features["item"])
        tables = {"users": self._users(extracted), "items": self._items(extracted, rows)}
        # Fields of several tables may share a vocabulary, so ids are given once all values have been seen.
        for table in tables.values():
            table.add_to(self.vocabularies)
        self._write_tables(tables)
        dense = self._write_dense(extracted, rows)
        self._write_log_ids()
        for name, vocabulary in self.vocabularies.items():
            self.writer.write("vocabularies", name, vocabulary.values())
            self.writer.write("unseen", name, vocabulary.unseen())
        return {
            "vocabulary_sizes": {name: len(vocabulary) for name, vocabulary in self.vocabularies.items()},
            "unseen": {name: vocabulary.total - len(vocabulary) for name, vocabulary in self.vocabularies.items()},
            "counts": self.counts,
            "dense": dense,
        }

    def _users(self, extracted: ExtractedTables) -> FeatureTable:
        """The users and the attributes of their profiles; missing without a profile."""
        raw = extracted.users["user"].combine_chunks()
        profiles = positions(raw, extracted.profiles["user"])
        self.counts["users_without_profile"] = profiles.null_count
        fields = {
            field: raw if field.vocabulary == self.schema.user else extracted.profiles[field.name].take(profiles)
            for field in self.schema.group("attributes")
        }
        return FeatureTable(raw, fields, extracted.users["train"].to_numpy() > 0)

    def _items(self, extracted: ExtractedTables, rows: pa.Array) -> FeatureTable:
        """The items and their target fields; `rows` are their rows in the item table."""
        raw = extracted.items["item"].combine_chunks()
        self.counts["items_without_features"] = rows.null_count
        in_train = np.zeros(len(raw), bool)
        in_train[self.writer.read("train", "item")] = True
        fields = {
            field: raw if field.name == "item" else extracted.features[field.name].take(rows)
            for field in self.schema.group("target")
        }
        return FeatureTable(raw, fields, in_train)

    def _write_tables(self, tables: dict[str, FeatureTable]) -> None:
        """Write the raw ids of users and items, and the ids of their fields."""
        for name, table in tables.items():
            self.writer.write(name, "raw", table.raw_ids())
            for field, column in table.fields.items():
                vocabulary = self.vocabularies[field.vocabulary]
                ids = field_ids(field, vocabulary, column)
                self.seen.add(field, vocabulary, ids)
                self.writer.write(name, field.name, self._smallest_type(field, ids))

    def _write_dense(self, extracted: ExtractedTables, rows: pa.Array) -> dict[str, dict[str, float]]:
        """Write the items' standardized dense features; returns mean and standard deviation by name."""
        train_items = self.writer.read("train", "item")
        moments = {}
        for name in self.schema.dense:
            values, mean, std = standardize(name, extracted.features[name].take(rows), train_items)
            self.writer.write("items", name, values)
            moments[name] = {"log1p_mean": mean, "log1p_std": std}
        return moments

    def _write_log_ids(self) -> None:
        """Replace the raw values of behaviors and contexts by ids, a chunk at a time."""
        columns = [("behaviors", field) for field in self.schema.group("behavior")]
        columns += [(split, field) for split in SPLITS for field in self.schema.group("context")]
        with progress("numbering", len(columns), "columns") as advance:
            for table, field in columns:
                vocabulary = self.vocabularies[field.vocabulary]
                for codes in _chunks(self.writer.read(f"raw_{table}", field.name)):
                    ids = vocabulary.ids(codes)
                    self.seen.add(field, vocabulary, ids)
                    self.writer.append(table, field.name, self._smallest_type(field, ids))
                (self.writer.folder / f"raw_{table}" / f"{field.name}.npy").unlink()
                advance(1)
        for table in dict.fromkeys(table for table, _ in columns):
            self.writer.remove(f"raw_{table}")

    def _smallest_type(self, field: Field, ids: NDArray) -> NDArray:
        """Ids in the smallest type that holds those of the vocabulary and of unseen values."""
        return ids.astype(np.min_scalar_type(self.vocabularies[field.vocabulary].total))


def _counts(extracted: ExtractedTables) -> dict[str, int]:
    """Users, items, impressions and clicks."""
    names = [name for split in SPLITS for name in (split, f"{split}_clicks")]
    sums = {name: int(pc.sum(extracted.users[name]).as_py()) for name in names}
    return {"users": len(extracted.users), "items": len(extracted.items), **sums}


def _chunks(column: NDArray) -> Iterator[Codes]:
    for start in range(0, max(len(column), 1), CHUNK):
        yield np.asarray(column[start : start + CHUNK])
