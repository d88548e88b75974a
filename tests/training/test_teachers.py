"""Teachers of a run of `pfd`: nobody is taught by one that was trained on them, and a run resumes with the same ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.experiments.cells import train_if_missing
from mailcli.models.contracts import user_folds
from mailcli.runs.folder import CONFIG, RunFolder
from mailcli.training import teachers
from mailcli.training.loop import TrainingLoop
from mailcli.utils.parsing import read_toml
from tests.helpers.leakage_runs import replace_columns
from tests.helpers.runs import Killed, kill_in_step, outcome

SETTINGS: dict[str, Any] = {
    **{"data": "tiny", "history": 20, "embedding_dim": 4, "batch_size": 1024, "epochs": 1, "ranker.units": "8"},
    **{"cold_start": "pfd", "cold_start.folds": "2"},
}


def config(**changes: Any) -> RunConfig:
    return make_config([SETTINGS, changes])


def teach(dataset: Dataset, folder: Path, **changes: Any) -> np.ndarray:
    made = config(**changes)
    run = RunFolder(folder, made, {"settings": repr(made)})
    return teachers.teach(run, dataset, views(dataset, made), 2, checkpoint_minutes=10)


@pytest.mark.slow
def test_a_teachers_users_say_nothing_about_the_fold_that_it_teaches(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the other label for every impression of one fold's users, in train and validation."""
    view = views(tiny, config())["train"]
    user = np.asarray(tiny.column("train", "user")[view.rows], np.int64)
    first = user_folds(user, 2, seed=0) == 0
    logits = teach(tiny, tmp_path / "a")
    flipped = np.isin(np.arange(tiny.counts["users"]), user[first])
    columns = {}
    for split in ("train", "validation"):
        click = np.asarray(tiny.column(split, "click"))
        columns[f"{split}/click"] = np.where(flipped[tiny.column(split, "user")], 1 - click, click).astype(click.dtype)
    replace_columns(monkeypatch, columns)
    others = teach(tiny, tmp_path / "b")
    taught = np.isfinite(logits)
    np.testing.assert_array_equal(others[first & taught], logits[first & taught])
    assert (others[~first & taught] != logits[~first & taught]).mean() > 0.99
    # Only where there is a history: not for new users, nor before the first behavior.
    sees = ~view.new[user] & (tiny.earlier_behaviors("train")[view.rows] > 0)
    np.testing.assert_array_equal(taught, sees)
    assert 0 < sees.sum() < len(sees)


def test_a_teacher_sees_histories_but_no_ids(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    gather = Batches.gather

    def watched(self: Batches, rows: np.ndarray) -> Any:
        batch = gather(self, rows)
        shown.append((self.view.split, batch))
        return batch

    monkeypatch.setattr(Batches, "gather", watched)
    teach(tiny, tmp_path / "run")
    assert {split for split, _ in shown} == {"train", "validation"}
    assert all((batch["attributes"][:, 0] == 1).all() for _, batch in shown)
    for split in ("train", "validation"):
        new = views(tiny, config())[split].new
        old = [batch["actions"][~new[batch["user"]]].any(axis=1).mean() for name, batch in shown if name == split]
        assert np.mean(old) > 0.9
        assert not any(batch["actions"][new[batch["user"]]].any() for name, batch in shown if name == split)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pfd", "prior"])
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(
    method: str, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a teacher, in the first step of the run itself, where the teachers are done, and later."""
    made = config(cold_start=method, epochs=2)
    whole = train_if_missing(made, tiny, tmp_path / "whole")
    assert not whole.teachers.exists()
    for step in (5, 9, 4) if method == "pfd" else (4,):
        with monkeypatch.context() as patch:
            kill_in_step(patch, step)
            with pytest.raises(Killed):
                train_if_missing(made, tiny, tmp_path / "killed", checkpoint_minutes=0)
    killed = train_if_missing(made, tiny, tmp_path / "killed", checkpoint_minutes=0)
    assert outcome(killed) == outcome(whole)
    assert not killed.teachers.exists()


@pytest.mark.slow
def test_teachers_of_other_settings_are_not_reused(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[bool] = []

    def train(self: TrainingLoop) -> dict[str, Any]:
        trained.append(self._state.steps == 0)
        raise Killed

    folder = tmp_path / "run"
    teach(tiny, folder)
    stored = read_toml(folder / "teachers" / "fold-0" / CONFIG)
    assert stored == {"settings": repr(config())}
    monkeypatch.setattr(TrainingLoop, "train", train)
    for changes in ({}, {"learning_rate": 0.01}):
        with pytest.raises(Killed):
            teach(tiny, folder, **changes)
    # The one with the same settings goes on from its checkpoint, the other begins anew.
    assert trained == [False, True]


def test_a_teachers_table_begins_with_the_behaviors_of_its_own_users(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[set[int]] = []

    def start(embedding: Any, dataset: Dataset, view: Any, seed: int) -> None:
        looked_at.append(set(np.asarray(dataset.column("train", "user")[view.rows]).tolist()))
        raise Killed

    monkeypatch.setattr("mailcli.training.behavior_vectors.start_from_behaviors", start)
    with pytest.raises(Killed):
        teach(tiny, tmp_path / "run", embedding_init="behaviors")
    user = np.asarray(tiny.column("train", "user"), np.int64)
    assert looked_at == [set(user[user_folds(user, 2, seed=0) == 1].tolist())]


def test_a_run_without_teachers_makes_none(tiny: Dataset, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", replace(config(), cold_start="none"))
    teachers.delete_teachers(run)
    assert not run.folder.exists()


def test_a_teachers_probability_comes_back_as_its_logit(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3/4: ln 3."""

    def scorer(_model: Any) -> Any:
        return lambda batches, title: np.full(len(batches.view.rows), 0.75, np.float32)

    monkeypatch.setattr(teachers, "Scorer", scorer)
    logits = teach(tiny, tmp_path / "run")
    taught = np.isfinite(logits)
    assert taught.any()
    np.testing.assert_allclose(logits[taught], 1.0986123, rtol=1e-6)
