"""Rows and settings of an experiment that would be taken for others, or for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.experiments.experiment_file import read_experiment
from mailcli.experiments.experiment_run import plan_worlds
from mailcli.reporting.rows import Row
from tests.helpers.experiments import write_experiment

EXPERIMENT = """
title = "Toy"
source = "alimama"
rows = ["BaseDNN", "MAIL-Dual", {row = "MAIL-Base", "cold_start.variant" = "single"}]
[settings]
epochs = 2
"""


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("\nrows", "\nagainst = [['BaseDNN', 'BaseDNN']]\nrows", "against = [['BaseDNN', 'BaseDNN']]: expected a list of pairs "
         "of different rows, [ROW, OTHER], each pair once."),
        ('"single"', '"dual"', "rows: 'MAIL-Dual' is the same as 'MAIL-Dual'. Leave one out."),
        ('"BaseDNN"', '"BaseDNN", {row = "base+none", label = "again"}', "rows: 'again' is the same as 'BaseDNN'. Leave one out."),
        ('"BaseDNN"', '{row = "BaseDNN", "ranker.units" = "8", label = "A"}, {row = "DMR", label = "BaseDNN (units=8)"}, '
         '{row = "BaseDNN", "ranker.units" = "8", patience = 9}', "rows: two are called 'BaseDNN (units=8)'. Expected another label of one of them."),
        ("epochs = 2", '"cold_start.variant" = "none"', "settings.cold_start.variant: set by the names of rows."),
        ("epochs = 2", 'continues = "x"', "settings.continues: set by `mail train --continue`."),
    ],
)  # fmt: skip
def test_it_is_refused(tmp_path: Path, old: str, new: str, error: str) -> None:
    assert old in EXPERIMENT
    path = write_experiment(tmp_path, EXPERIMENT.replace(old, new))
    with pytest.raises(MailError) as refused:
        read_experiment(path).configs("toy", 100)
    assert refused.value.message == f"{path}: {error}"


def test_rows_of_one_name_are_told_apart_by_their_settings(tmp_path: Path) -> None:
    others = '"BaseDNN", {row = "BaseDNN", learning_rate = 0.002}, {row = "BaseDNN", "ranker.dropout" = "0.2"}, '
    others += '{row = "BaseDNN", batch_size = 64, label = "small"}'
    experiment = read_experiment(write_experiment(tmp_path, EXPERIMENT.replace('"BaseDNN"', others)))
    names = [
        "BaseDNN, learning_rate 0.001",
        "BaseDNN, learning_rate 0.002",
        "BaseDNN (dropout=0.2)",
        "small",
        "MAIL-Dual",
        "MAIL-Single",
    ]
    assert experiment.row_names() == names
    rows = [Row(config, (0,), ({},), None) for config in experiment.configs("toy", 100)[0]]
    assert [row.label for row in experiment.name_rows(rows)] == names


def test_a_default_that_depends_on_the_dataset_has_one_name_everywhere(data_dir: Path, tmp_path: Path) -> None:
    text = EXPERIMENT.replace(
        '"MAIL-Dual", {row = "MAIL-Base", "cold_start.variant" = "single"}', '{row = "BaseDNN", history = 5}'
    )
    experiment = replace(read_experiment(write_experiment(tmp_path, text)), data="tiny")
    (world,) = plan_worlds(experiment, data_dir, tmp_path / "runs", overwrite=False)
    rows = [Row(config, (0,), ({},), None) for config in world.table.configs]
    # The default is 100 behaviors, or as many as the dataset keeps: 20.
    names = ["BaseDNN, history 20", "BaseDNN, history 5"]
    assert list(world.table.names) == [row.label for row in experiment.name_rows(rows)] == names


def test_a_row_may_have_another_variant(tmp_path: Path) -> None:
    configs, _ = read_experiment(write_experiment(tmp_path, EXPERIMENT)).configs("toy", 100)
    assert [config.cell for config in configs] == ["base+none", "base+mail-dual", "base+mail-single"]
