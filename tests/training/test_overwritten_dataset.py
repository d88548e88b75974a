"""A dataset that is overwritten while a run is under way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.matrix import make_rows
from mailcli.models.step import Step
from tests.helpers.runs import SETTINGS, Trained, outcome

CONFIG = make_config([SETTINGS, {"epochs": 1}])


@pytest.fixture
def dataset(data_dir: Path, tmp_path: Path) -> Dataset:
    """A copy of the dataset `tiny` that a test may change."""
    return Dataset(Path(shutil.copytree(data_dir / "tiny", tmp_path / "data" / "tiny")))


def overwrite(path: Path) -> None:
    """Write the last value of a column again in place, with all bits flipped."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        (last,) = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 255]))


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.rename(path)


def grow(path: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    with open(path, "ab") as file:
        file.write(b"\0")
    os.utime(path, ns=times)


@pytest.mark.parametrize("name", ["dataset.json", "train/click.npy", "users/user.npy", "vocabularies/cate.npy"])
@pytest.mark.parametrize("change", [overwrite, replace, grow, Path.unlink, Path.touch])
def test_every_change_is_noticed(dataset: Dataset, name: str, change: Callable[[Path], None]) -> None:
    dataset.check_files()
    path = dataset.folder / name
    change(path)
    with pytest.raises(MailError) as error:
        dataset.check_files()
    verb = "deleted" if change is Path.unlink else "overwritten"
    assert error.value.message == (
        f"{path}: was {verb} while the dataset was in use. Restore the dataset and run the same command again. "
        "Expected a dataset that does not change while it is in use: give the new one another name."
    )


def in_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]) -> None:
    """Do something before the given step."""
    calls, call = 0, Step.__call__

    def step(self: Step, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return call(self, batch)

    monkeypatch.setattr(Step, "__call__", step)


def test_a_run_ends_with_one_line_and_goes_on_from_a_checkpoint_before(
    dataset: Dataset, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dataset.folder / "train" / "click.npy"
    original = path.read_bytes()
    with monkeypatch.context() as patch:
        in_step(patch, 5, lambda: overwrite(path))
        with pytest.raises(MailError, match=f"{path}: was overwritten while the dataset was in use"):
            train_if_missing(CONFIG, dataset, tmp_path / "runs", checkpoint_minutes=0)
    folder = tmp_path / "runs" / CONFIG.run_path
    assert sorted(file.name for file in (folder / "checkpoints").iterdir()) == ["step-3.npz", "step-4.npz"]
    path.write_bytes(original)
    resumed = train_if_missing(CONFIG, Dataset(dataset.folder), tmp_path / "runs", checkpoint_minutes=0)
    assert outcome(resumed) == outcome(trained(CONFIG))


def test_an_error_on_a_mixed_dataset_is_one_of_the_dataset(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        (dataset.folder / "users" / "user.npy").touch()
        raise IndexError("index 5 is out of bounds for axis 0 with size 3")

    in_step(monkeypatch, 2, fail)
    with pytest.raises(MailError, match="user.npy: was overwritten while the dataset was in use"):
        train_if_missing(CONFIG, dataset, tmp_path / "runs")


def test_a_bug_on_a_whole_dataset_stays_one(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise IndexError("a bug")

    in_step(monkeypatch, 2, fail)
    with pytest.raises(IndexError, match="a bug"):
        train_if_missing(CONFIG, dataset, tmp_path / "runs")


def test_a_table_is_of_one_version_of_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    def overwrite_between_two_runs(tasks: object) -> None:
        (dataset.folder / "dataset.json").touch()

    with pytest.raises(MailError, match=r"dataset.json: was overwritten while the dataset was in use"):
        make_rows([CONFIG], [0], dataset, tmp_path / "runs", trainer=overwrite_between_two_runs)


@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_dataset_that_became_shorter_was_overwritten(dataset: Dataset, kept: float) -> None:
    """Made anew with fewer rows, before its values are checked."""
    path = dataset.folder / "train" / "click.npy"
    if kept:
        os.truncate(path, int(kept * path.stat().st_size))
    else:
        path.unlink()
    with pytest.raises(MailError) as error:
        dataset.column("train", "click")
    assert error.value.message.startswith(f"{path}: was {'overwritten' if kept else 'deleted'} while the dataset ")
