"""Where an experiment's dataset comes from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.experiment_file import read_experiment
from mailcli.preprocessing.pipeline import preprocess

EXPERIMENT = """
title = "Toy"
source = "alimama"
rows = ["BaseDNN"]
[simulate]
name = "toy"
users = 150
behaviors_per_user = 10
"""


def test_simulated_and_labeled_so_without_raw_files(experiment: Path, toy_data: Path) -> None:
    dataset = prepare_dataset(read_experiment(experiment), toy_data)
    assert dataset.display_name == "toy (simulated)"


def test_real_with_raw_files(experiment: Path, toy_data: Path, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "raw" / "alimama"
    shutil.copytree(toy_data / "raw" / "toy", raw)
    # Files from the simulator are not taken for real ones.
    assert prepare_dataset(read_experiment(experiment), tmp_path / "data").display_name == "toy (simulated)"
    (raw / "SIMULATED.json").unlink()
    assert prepare_dataset(read_experiment(experiment), tmp_path / "data").display_name == "alimama (real data)"


def test_real_with_a_real_dataset_whose_raw_files_are_elsewhere(
    experiment: Path, toy_data: Path, tmp_path: Path
) -> None:
    raw, data = tmp_path / "elsewhere", tmp_path / "data"
    shutil.copytree(toy_data / "raw" / "toy", raw)
    # A simulated dataset of the source is not the experiment's: it has other settings.
    preprocess("alimama", raw, data, None)
    assert prepare_dataset(read_experiment(experiment), data).display_name == "toy (simulated)"
    (raw / "SIMULATED.json").unlink()
    preprocess("alimama", raw, data, None)
    assert prepare_dataset(read_experiment(experiment), data).display_name == "alimama (real data)"
    assert not (data / "raw" / "alimama").exists()


def test_another_simulation_of_that_name_is_refused(experiment: Path, toy_data: Path) -> None:
    experiment.write_text(EXPERIMENT.replace("users = 150", "users = 160"), encoding="utf-8")
    with pytest.raises(MailError, match=r"is not the dataset that .*toy.toml asks for \(users: 150 -> 160\)"):
        prepare_dataset(read_experiment(experiment), toy_data)
