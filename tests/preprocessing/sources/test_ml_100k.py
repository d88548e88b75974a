"""MovieLens-100K, from the pip package and in GroupLens' own form."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, SPLITS
from mailcli.preprocessing.pipeline import preprocess
from tests.helpers import grouplens


def test_counts(ml_100k: Dataset) -> None:
    assert ml_100k.counts["users"] == 943
    assert ml_100k.counts["items"] == 1682
    assert sum(ml_100k.counts[name] for name in SPLITS) == 100_000
    # 55,375 of the 100,000 ratings are 4 or 5 (GroupLens' own counts: 34,174 and 21,201).
    assert sum(ml_100k.counts[f"{name}_clicks"] for name in SPLITS) == 34_174 + 21_201
    assert ml_100k.display_name == "ml-100k (real data)"


def test_splits_follow_time_within_each_user(ml_100k: Dataset) -> None:
    for user in (0, 100, 942):
        times = [ml_100k.column(s, "time")[ml_100k.column(s, "user") == user] for s in SPLITS]
        total = sum(map(len, times))
        assert len(times[2]) == int(total * 0.2)
        assert len(times[1]) == int(total * 0.1)
        assert times[0].max() <= times[1].min()
        assert times[1].max() <= times[2].min()


def test_a_known_user_and_film(ml_100k: Dataset) -> None:
    row = int(np.flatnonzero(ml_100k.column("users", "raw") == 1)[0])

    def raw(table: str, name: str, place: int, vocabulary: str | None = None) -> list[object]:
        ids = np.atleast_1d(ml_100k.column(table, name)[place])
        values = ml_100k.column("vocabularies", vocabulary or name)
        return [values[i - FIRST_ID].item() for i in ids if i >= FIRST_ID]

    # User 1: 24, M, technician, 85711; the age group 18-24 is the second, code 2.
    assert raw("users", "gender", row) == ["M"]
    assert raw("users", "occupation", row) == ["technician"]
    assert raw("users", "age", row) == [2]
    assert raw("users", "zip", row) == ["8"]
    # Film 1: Toy Story, 1995.
    film = int(np.flatnonzero(ml_100k.column("items", "raw") == 1)[0])
    assert raw("items", "year", film) == [1995]
    assert raw("items", "genres", film) == ["Animation", "Children's", "Comedy"]


def test_grouplens_files_give_the_same_dataset(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    grouplens.write(raw)
    dataset = preprocess("ml-100k", raw, tmp_path / "data", "own")
    assert dataset.counts["train"] == 14
    assert dataset.counts["validation"] == 2
    assert dataset.counts["test"] == 4
    genres = dataset.column("vocabularies", "genres")
    assert set(genres) == {"Action", "Drama"}
    assert dataset.column("vocabularies", "year").tolist() == [1990, 1991, 1992, 1993, 1994, 1995, 1996]
