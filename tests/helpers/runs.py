"""Small runs for tests, how they are interrupted, and what a run leaves on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.models.step import Step
from mailcli.runs.folder import RunFolder

#: 22 steps per epoch on the dataset `tiny`, so the epochs end at steps 22, 44 and 66.
SETTINGS: dict[str, Any] = {
    "data": "tiny",
    "history": 20,
    "embedding_dim": 8,
    "batch_size": 256,
    "epochs": 3,
    "ranker.units": "16,8",
}
SMALL = {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"}
CELLS: dict[str, dict[str, str]] = {
    # Its graphs are built in a third of the time of the next one's.
    "base": {},
    "base+mail": {"cold_start": "mail", "cold_start.variant": "base", **SMALL},
    "dmr+cvae": {"ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
    "base+poso": {"cold_start": "poso", "cold_start.prefix": "true"},
    "base+match": {"cold_start": "match", "cold_start.references": "64", "cold_start.steps": "3"},
    # Validated after steps 7, 14, 21 and 22 of an epoch.
    "deepfm+dropout": {"ranker": "deepfm", "cold_start": "dropout", "eval_every": "7", "patience": "9"},
}

#: Cell -> the outcome of its run when it is not interrupted.
Undisturbed = Callable[[str], dict[str, bytes]]
Capture = pytest.CaptureFixture[str]
#: The fixture `trained`: a config on `tiny` -> its finished run, which must not be changed.
Trained = Callable[[RunConfig], RunFolder]


def config(cell: str, **changes: Any) -> RunConfig:
    """One of CELLS on the dataset `tiny`."""
    return make_config([SETTINGS, CELLS[cell], changes])


class Killed(BaseException):
    """Stands for the end of the process: nothing in mailcli catches it."""


def kill_in_step(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Raise Killed in place of the given step, counted from now."""
    calls = 0
    call = Step.__call__

    def step(self: Step, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        return call(self, batch)

    monkeypatch.setattr(Step, "__call__", step)


def train_until(monkeypatch: pytest.MonkeyPatch, number: int, dataset: Dataset, runs: Path, cell: str = "base") -> None:
    """Train with a checkpoint after every step, and get killed in the given step, counted from now."""
    with monkeypatch.context() as patch:
        kill_in_step(patch, number)
        with pytest.raises(Killed):
            train_if_missing(config(cell), dataset, runs, checkpoint_minutes=0)


def copy_run(run: RunFolder, runs: Path) -> RunFolder:
    """A finished run in another folder of runs, where a test may change it."""
    folder = runs / run.config.run_path
    shutil.copytree(run.folder, folder)
    return RunFolder(folder, run.config, run.settings)


def make_older(folder: Path) -> None:
    """Turn the finished runs below a folder into those of a version without SHA256SUMS; a test then changes them."""
    sums = list(folder.rglob("SHA256SUMS"))
    assert sums
    for path in sums:
        path.unlink()


def outcome(run: RunFolder) -> dict[str, bytes]:
    """All that a run leaves except wall time: the bytes of its files, and of each of its weights."""
    contents = {
        name: (run.folder / name).read_bytes()
        for name in ("config.toml", "history.jsonl", "predictions.npy", "audit.npz", "result.json")
        if (run.folder / name).exists()  # not every run has an audit
    }
    with h5py.File(run.weights) as file:
        file.visititems(
            lambda name, item: contents.update({name: item[()].tobytes()} if hasattr(item, "dtype") else {})
        )
    return contents
