"""Rows of a table: the runs that they are made from."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout, train_if_missing
from mailcli.experiments.executors.tasks import Task
from mailcli.experiments.matrix import make_rows

CONFIG = make_config([{"data": "tiny", "ranker": "item-bias", "history": 5}])


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_a_run_that_is_gone_once_the_others_are_trained_is_noticed(change: str, tiny: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "paper" / "item-bias+none" / "seed-1"

    def train_meanwhile(tasks: Sequence[Task]) -> None:
        """Stands for hours of training, in which another process uses the same folder of runs."""
        assert list(tasks) == []
        assert folder.is_dir()
        if change == "deleted":
            shutil.rmtree(folder)
        else:
            other = replace(CONFIG, history=4, seed=1)
            train_if_missing(other, tiny, RunLayout(tmp_path, overwrite=True))

    with pytest.raises(MailError) as error:
        make_rows([CONFIG], range(3), tiny, tmp_path, trainer=train_meanwhile)
    assert error.value.message == (
        f"{folder}: was deleted or replaced while the table was made. Run the same command again."
    )


def test_a_run_that_was_made_again_with_the_same_settings_counts(tiny: Dataset, tmp_path: Path) -> None:
    def train_meanwhile(_: Sequence[Task]) -> None:
        shutil.rmtree(tmp_path / "tiny")
        for seed in (0, 1):
            train_if_missing(replace(CONFIG, seed=seed), tiny, tmp_path)

    rows = make_rows([CONFIG], range(2), tiny, tmp_path, trainer=train_meanwhile)
    assert [len(row.results) for row in rows] == [2]


def test_a_run_that_replaces_another_is_the_one_of_the_table(tiny: Dataset, tmp_path: Path) -> None:
    train_if_missing(replace(CONFIG, history=4), tiny, tmp_path)
    (row,) = make_rows([CONFIG], [0], tiny, RunLayout(tmp_path, overwrite=True))
    assert row.results[0]["test"]["all"]["AUC"] > 0
