"""embedding_init = "behaviors": values that the same users turn to begin with similar embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import Interrupted
from mailcli.experiments.cells import train_if_missing
from mailcli.models.correspondence import value_vectors
from mailcli.training import behavior_vectors
from mailcli.training.behavior_vectors import seen_behavior_rows
from mailcli.training.loop import TrainingLoop
from mailcli.training.train import model_and_splits


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_neither_new_users_nor_the_test_days_are_looked_at(tiny: Dataset, protocol: str) -> None:
    view = views(tiny, make_config([{"data": "tiny", "protocol": protocol}]))["train"]
    user, rows, left_out = seen_behavior_rows(tiny, view, np.random.default_rng(0))
    train_user, end = tiny.column("train", "user"), tiny.column("train", "history_end")
    expected = set()
    for row in view.rows:
        if not view.is_new(train_user[[row]], np.array([row]))[0]:
            first = tiny.offsets[train_user[row]]
            expected |= {(int(train_user[row]), place) for place in range(first, end[row])}
    assert set(zip(user.tolist(), rows.tolist(), strict=True)) == expected
    assert expected
    assert not len(left_out)


def test_many_users_are_sampled_and_long_histories_cut(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior_vectors, "BEHAVIORS_PER_USER", 3)
    view = views(tiny, make_config([{"data": "tiny"}]))["train"]
    everyone, _, _ = seen_behavior_rows(tiny, view, np.random.default_rng(0))
    monkeypatch.setattr(behavior_vectors, "USERS", 20)
    user, _, left_out = seen_behavior_rows(tiny, view, np.random.default_rng(0))
    assert sorted({*user, *left_out}) == sorted(set(everyone))
    assert not set(user) & set(left_out)
    _, counts = np.unique(user, return_counts=True)
    assert len(counts) == 20
    assert counts.max() == 3


def first_table(settings: dict[str, Any], dataset: Dataset, runs: Path) -> np.ndarray:
    """The embedding table with which training begins."""
    tables: list[np.ndarray] = []

    def train(loop: TrainingLoop) -> None:
        tables.append(loop._model.embedding.table.numpy())
        raise Interrupted("begun")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingLoop, "train", train)
        with pytest.raises(Interrupted, match="begun"):
            train_if_missing(make_config([settings]), dataset, runs)
    return tables[0]


def test_training_begins_with_them(tiny: Dataset, tmp_path: Path) -> None:
    settings = {"data": "tiny", "history": 20, "embedding_dim": 4, "ranker.units": "8"}
    before = first_table({**settings, "embedding_init": "small"}, tiny, tmp_path / "small")
    after = first_table({**settings, "embedding_init": "behaviors"}, tiny, tmp_path / "behaviors")
    model, splits = model_and_splits(make_config([settings]), tiny)
    user, rows, _ = seen_behavior_rows(tiny, splits["train"], np.random.default_rng(0))
    for name in ("cate", "brand"):
        first, size = model.embedding.first_row[name], tiny.vocabulary_sizes[name]
        vectors = value_vectors(user, np.asarray(tiny.column("behaviors", name)[rows]), size, 4, seed=0)
        known = vectors.any(axis=1)
        assert known.any()
        np.testing.assert_array_equal(after[first : first + size][known], vectors[known])
        np.testing.assert_array_equal(after[first : first + size][~known], before[first : first + size][~known])
    others = [name for name in tiny.schema.vocabularies() if name not in {"cate", "brand"}]
    for name in others:
        place = slice(model.embedding.first_row[name], model.embedding.first_row[name] + tiny.vocabulary_sizes[name])
        np.testing.assert_array_equal(after[place], before[place])
