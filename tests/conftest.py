"""Fixtures of all tests: small datasets, made once per session, and working folders."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# There is a worker of pytest-xdist for each core, and the products of small models are not worth a second thread.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import hypothesis
import pytest
from filelock import FileLock

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.runs.folder import RunFolder
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.utils.log import log_to_stderr
from tests.helpers.command_line import SMALL, mail

# By default Python looks for garbage so often that, with TensorFlow loaded, preprocessing takes a third longer.
gc.set_threshold(20_000, 10, 10)

#: Where `make demo` keeps the download, which tests share.
ML_100K = Path(__file__).parent.parent / "data" / "raw" / "ml-100k"


# Two busy workers may stall an example for longer than hypothesis allows.
hypothesis.settings.register_profile("suite", deadline=None, print_blob=True)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Reset the precision after each test: a run sets it for the whole process."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy("float32")


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Files are written in the same order, but not synced: a dataset has a hundred, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def messages_on_stderr() -> None:
    """Show messages as the command line does."""
    log_to_stderr()


@pytest.fixture(autouse=True)
def one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the runs of a table in the test's own process; tests/experiments/executors/test_processes.py tests several processes."""
    monkeypatch.setattr("mailcli.experiments.executors.processes.threads", lambda: 1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of pytest-xdist share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def simulated_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated Alimama files with 300 users."""
    folder = tmp_path_factory.mktemp("raw") / "alimama"
    simulate_alimama(Settings(users=300, seed=1, behaviors_per_user=30), folder)
    return folder


@pytest.fixture(scope="session")
def data_dir(simulated_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the dataset `tiny` (300 simulated users, n_v 20)."""
    folder = tmp_path_factory.mktemp("data")
    preprocess("alimama", simulated_raw, folder, "tiny", PreprocessOptions(history=20))
    return folder


@pytest.fixture(scope="session")
def tiny(data_dir: Path) -> Dataset:
    """The dataset `tiny`."""
    return Dataset(data_dir / "tiny")


@pytest.fixture(scope="session")
def trained(tiny: Dataset, shared: Path) -> Callable[[RunConfig], RunFolder]:
    """The finished run of a config on `tiny`, trained once: tests change copies (tests/helpers/runs.py, `copy_run`)."""
    (shared / "trained").mkdir(exist_ok=True)

    def run_of(config: RunConfig) -> RunFolder:
        folder = shared / "trained" / hashlib.sha256(repr(config).encode()).hexdigest()[:16]
        with FileLock(f"{folder}.lock"):
            return train_if_missing(config, tiny, folder)

    return run_of


@pytest.fixture(scope="session")
def small_runs(data_dir: Path, shared: Path) -> Path:
    """A runs folder with the seeds 0 and 1 of `mail train` with SMALL on `tiny`; tests change copies."""
    runs = shared / "small" / "runs"
    with FileLock(shared / "small.lock"):
        for seed in (0, 1):
            assert mail("train", *SMALL, "--seed", seed, "--data-dir", data_dir, "--runs", runs).exit_code == 0
    return runs


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
    """The dataset `buys`, with the label `conversion` (200 simulated users, n_v 10)."""
    folder = tmp_path_factory.mktemp("buys")
    settings = Settings(users=200, seed=1, behaviors_per_user=30, conversions=True)
    simulate_alimama(settings, folder / "raw")
    return preprocess("alimama", folder / "raw", folder, "buys", PreprocessOptions(history=10))


@pytest.fixture(scope="session")
def ml_100k_raw() -> Path:
    """The folder of MovieLens-100K's raw files; they are downloaded unless `make demo` has done so."""
    return ML_100K


@pytest.fixture(scope="session")
def ml_100k(ml_100k_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """MovieLens-100K, whose files are as published."""
    options = PreprocessOptions(expect_official=True)
    return preprocess("ml-100k", ml_100k_raw, tmp_path_factory.mktemp("ml"), None, options)
