"""Fixtures: datasets that are made once per session, small enough for a laptop."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

from mailcli.data.dataset import Dataset
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.utils.log import log_to_stderr

#: `make demo` keeps the download here; tests share it.
ML_100K = Path(__file__).parent.parent / "data" / "raw" / "ml-100k"


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """A run's precision is a setting of the whole process: the next test has float32 again."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def messages_on_stderr() -> None:
    """As the command line shows them."""
    log_to_stderr()


@pytest.fixture(autouse=True)
def one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are made in the test's own process; tests/experiments/test_plan.py has those of several."""
    monkeypatch.setattr("mailcli.experiments.executors.processes.threads", lambda: 1)


@pytest.fixture(scope="session")
def simulated_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated Alimama files of 300 users."""
    folder = tmp_path_factory.mktemp("raw") / "alimama"
    simulate_alimama(Settings(users=300, seed=1, behaviors_per_user=30), folder)
    return folder


@pytest.fixture(scope="session")
def data_dir(simulated_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the dataset `tiny` (300 simulated users, n_v 20)."""
    folder = tmp_path_factory.mktemp("data")
    preprocess("alimama", simulated_raw, folder, "tiny", Options(history=20))
    return folder


@pytest.fixture(scope="session")
def tiny(data_dir: Path) -> Dataset:
    """The dataset `tiny`."""
    return Dataset(data_dir / "tiny")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_data(home: Path, data_dir: Path) -> Path:
    """A working folder with the dataset `tiny`."""
    shutil.copytree(data_dir, home / "data")
    return home


@pytest.fixture(scope="session")
def with_buys(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset of 200 simulated users with the label `conversion`, n_v 10."""
    folder = tmp_path_factory.mktemp("buys")
    settings = Settings(users=200, seed=1, behaviors_per_user=30, conversions=True)
    simulate_alimama(settings, folder / "raw")
    return preprocess("alimama", folder / "raw", folder, "buys", Options(history=10))


@pytest.fixture(scope="session")
def ml_100k_raw() -> Path:
    """The folder of MovieLens-100K's raw files; they are downloaded unless `make demo` did."""
    return ML_100K


@pytest.fixture(scope="session")
def ml_100k(ml_100k_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """MovieLens-100K."""
    return preprocess("ml-100k", ml_100k_raw, tmp_path_factory.mktemp("ml"), None)
