"""Experiments of a few simulated users: their files, their datasets, and how faults in them are reported."""

from __future__ import annotations

from pathlib import Path

from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.experiment_file import read_experiment
from tests.helpers.command_line import error_line, mail


def write_experiment(folder: Path, text: str) -> Path:
    """The file of an experiment."""
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def make_data(folder: Path, text: str) -> Path:
    """A data folder that holds the dataset of an experiment."""
    prepare_dataset(read_experiment(write_experiment(folder, text)), folder / "data")
    return folder / "data"


def assert_refused(command: str, experiment: Path, data: Path, error: str) -> None:
    """`mail run FILE` or `mail tune FILE` ends in one line that begins with the file; nothing is written."""
    done = mail(command, experiment, "--data-dir", data, "--runs", experiment.parent / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {experiment}: ")
    assert error in error_line(done)
    assert done.stderr.count("\n") == 1
    assert not (experiment.parent / "runs").exists()
    assert not (experiment.parent / "tuned").exists()
