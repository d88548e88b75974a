"""Working folders with the datasets of two days, and with a run on each; made once per session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.retraining.run import continue_run
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers.retraining import PARENT, SETTINGS


@pytest.fixture(scope="session")
def two_days(simulated_raw: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with `day1` (30% of the users) and `tiny` (all of them, the day after)."""
    home = tmp_path_factory.mktemp("daily")
    shutil.copytree(data_dir, home / "data")
    preprocess("alimama", simulated_raw, home / "data", "day1", PreprocessOptions(history=20, sample=0.3))
    return home


@pytest.fixture(scope="session")
def two_days_trained(two_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a run on `day1`, and one that continues it on `tiny`."""
    home = tmp_path_factory.mktemp("trained")
    shutil.copytree(two_days, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        train_if_missing(make_config([SETTINGS]), Dataset(Path("data/day1")), Path("runs"))
        continue_run(Path(PARENT), "tiny", {}, Path("data"), Path("runs"), None)
    return home


@pytest.fixture
def home(two_days_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder with runs, to work in."""
    shutil.copytree(two_days_trained, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def days(two_days: Path) -> tuple[Dataset, Dataset]:
    return Dataset(two_days / "data" / "day1"), Dataset(two_days / "data" / "tiny")
