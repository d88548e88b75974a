"""Two datasets that differ only after the training days, and what their raw files allow to be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers.another_future import write_another_future
from tests.helpers.leakage_runs import PROTOCOLS
from tests.helpers.leakage_truth import Draw, Truth


@pytest.fixture(scope="session")
def late_raw(simulated_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated files with another future."""
    folder = tmp_path_factory.mktemp("late") / "raw"
    write_another_future(simulated_raw, folder)
    return folder


@pytest.fixture(scope="session")
def late(late_raw: Path) -> Dataset:
    """The dataset of these files."""
    return preprocess("alimama", late_raw, late_raw.parent, "late", PreprocessOptions(history=20))


@pytest.fixture(scope="session")
def usual(simulated_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The dataset of the simulated files as they are, with the same name."""
    return preprocess("alimama", simulated_raw, tmp_path_factory.mktemp("usual"), "late", PreprocessOptions(history=20))


@pytest.fixture(scope="session")
def truth(late_raw: Path) -> Truth:
    """What the files of `late` allow to be shown."""
    return Truth(late_raw, n_v=20)


@pytest.fixture(scope="session")
def draws(truth: Truth) -> dict[str, Draw]:
    """The new users of each protocol."""
    return {protocol: Draw.of(truth.users, protocol, seed=0, share=0.4) for protocol in PROTOCOLS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the runs of a file, so that two-stage methods share the run of their ranker."""
    return tmp_path_factory.mktemp("runs")
