"""Experiments of a few simulated users: their files, their datasets, and how faults in them are reported."""

from __future__ import annotations

from pathlib import Path

from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.plan_file import read_plan
from tests.helpers.command_line import error_line, mail


def write_plan(folder: Path, text: str) -> Path:
    """The file of an experiment."""
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def make_data(folder: Path, text: str) -> Path:
    """A data folder that holds the dataset of an experiment."""
    prepare_dataset(read_plan(write_plan(folder, text)), folder / "data")
    return folder / "data"


def assert_refused(command: str, plan: Path, data: Path, error: str) -> None:
    """`mail run FILE` or `mail tune FILE` ends in one line that begins with the file; nothing is written."""
    done = mail(command, plan, "--data-dir", data, "--runs", plan.parent / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {plan}: ")
    assert error in error_line(done)
    assert done.stderr.count("\n") == 1
    assert not (plan.parent / "runs").exists()
    assert not (plan.parent / "tuned").exists()
