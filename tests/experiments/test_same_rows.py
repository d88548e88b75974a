"""Rows and settings of an experiment that would be taken for others, or for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.experiments.experiment_file import read_experiment
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
         "of different rows, [ROW, OTHER]."),
        ('"single"', '"dual"', "rows: 'MAIL-Dual' is the same as 'MAIL-Dual'. Leave one out."),
        ('"BaseDNN"', '"BaseDNN", {row = "base+none", label = "again"}', "rows: 'again' is the same as 'BaseDNN'. Leave one out."),
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


def test_a_row_may_have_another_variant(tmp_path: Path) -> None:
    configs, _ = read_experiment(write_experiment(tmp_path, EXPERIMENT)).configs("toy", 100)
    assert [config.cell for config in configs] == ["base+none", "base+mail-dual", "base+mail-single"]
