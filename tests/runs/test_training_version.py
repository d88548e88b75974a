"""A run of a version that trained other models is neither reused nor scored, and still read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.opening import open_run
from mailcli.runs.registry import find_run
from mailcli.training.predictor import Predictor
from tests.helpers.runs import SETTINGS, Trained, copy_run, make_older

CONFIG = make_config([SETTINGS, {"epochs": 1}])
QUICK_SOFTMAX = {"units": "8", "epochs": "2", "folds": "2"}


@pytest.fixture(scope="module")
def finished(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("finished")
    copy_run(trained(CONFIG), runs)
    return runs


def runs_of_version(number: str, finished: Path, runs: Path) -> Path:
    """The finished run as one of another version; version 1 wrote no number."""
    shutil.copytree(finished, runs)
    make_older(runs)
    path = runs / CONFIG.run_path / "config.toml"
    text = path.read_text(encoding="utf-8")
    assert "training_version = 2\n" in text
    path.write_text(text.replace("training_version = 2\n", number), encoding="utf-8")
    return path.parent


@pytest.mark.parametrize(("number", "version"), [("", 1), ("training_version = 3\n", 3)])
def test_another_version(number: str, version: int, finished: Path, tiny: Dataset, tmp_path: Path) -> None:
    folder = runs_of_version(number, finished, tmp_path / "runs")
    with pytest.raises(MailError) as error:
        find_run(tmp_path / "runs", CONFIG, tiny)
    assert error.value.message == (
        f"{folder}: holds a run with other settings (training_version: {version} -> 2). "
        "Add --overwrite to train it anew, or choose another --runs folder."
    )
    run = open_run(folder)
    assert run.config == CONFIG
    assert run.result == open_run(finished / CONFIG.run_path).result
    with pytest.raises(MailError) as error:
        Predictor.open(run, tiny)
    assert error.value.message == (
        f"{folder}: was trained by another version of mail, whose models differ (training_version {version}, here 2). "
        "Train it again with --overwrite, or in another --runs folder."
    )


def test_the_same_version(finished: Path, tiny: Dataset) -> None:
    assert find_run(finished, CONFIG, tiny).result
    Predictor.open(open_run(finished / CONFIG.run_path), tiny)


def test_trivial_rows_have_a_version_of_their_own(tiny: Dataset, tmp_path: Path) -> None:
    """Since version 3, a new user's bias counts if the id is known."""
    config = make_config([{"data": tiny.name, "ranker": "item-bias", "history": 20}])
    run = train_if_missing(config, tiny, tmp_path)
    text = (run.folder / "config.toml").read_text(encoding="utf-8")
    assert "training_version = 3\n" in text
    make_older(tmp_path)
    (run.folder / "config.toml").write_text(text.replace("training_version = 3\n", "training_version = 2\n"), "utf-8")
    with pytest.raises(MailError, match=r"other settings \(training_version: 2 -> 3\)"):
        find_run(tmp_path, config, tiny)


def test_a_method_has_a_version_of_its_own(
    trained: Trained, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since version 2 of mail-softmax, popularity in training is that of the other folds."""
    config = make_config([SETTINGS, {"epochs": 1, "cold_start": "mail-softmax", "cold_start_options": QUICK_SOFTMAX}])
    copy_run(trained(config), tmp_path)
    assert find_run(tmp_path, config, tiny).result
    folder = tmp_path / config.run_path
    path = folder / "config.toml"
    text = path.read_text(encoding="utf-8")
    assert "cold_start_version = 2\n" in text
    make_older(tmp_path)
    path.write_text(text.replace("cold_start_version = 2\n", ""), encoding="utf-8")
    with pytest.raises(MailError) as error:
        find_run(tmp_path, config, tiny)
    assert error.value.message == (
        f"{folder}: holds a run with other settings (cold_start_version: 1 -> 2). "
        "Add --overwrite to train it anew, or choose another --runs folder."
    )
    run = open_run(folder)
    assert run.config == config
    with pytest.raises(MailError) as error:
        Predictor.open(run, tiny)
    assert error.value.message == (
        f"{folder}: was trained by another version of mail, whose models differ (cold_start_version 1, here 2). "
        "Train it again with --overwrite, or in another --runs folder."
    )
    # A run of another method is not concerned.
    assert "cold_start_version" not in (copy_run(trained(CONFIG), tmp_path).folder / "config.toml").read_text()
