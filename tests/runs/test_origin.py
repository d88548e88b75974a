"""Runs are only compared if they are on one version of their dataset, and by one version of mail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.errors import MailError
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import baseline_result
from mailcli.runs.origin import check_same_origin
from tests.helpers.command_line import error_line, mail
from tests.helpers.run_folders import finish_trivial
from tests.helpers.runs import SETTINGS, Trained, copy_run, make_older

BASELINE = make_config([SETTINGS, {"epochs": 1}])
OTHER_DATASET = ("dataset_sha256 = ", 'dataset_sha256 = "0" # ')
OTHER_VERSION = ("training_version = 2", "training_version = 1")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("other", [OTHER_DATASET, OTHER_VERSION])
def test_a_baseline_of_another_origin_is_none(other: tuple[str, str], trained: Trained, tmp_path: Path) -> None:
    baseline = copy_run(trained(BASELINE), tmp_path)
    config = replace(BASELINE, cold_start="dropout")
    run = RunFolder(tmp_path / config.run_path, config)
    run.folder.mkdir(parents=True)
    text = (baseline.folder / "config.toml").read_text(encoding="utf-8")
    (run.folder / "config.toml").write_text(text, encoding="utf-8")
    assert baseline_result(run) == baseline.result
    change(run.folder / "config.toml", *other)
    assert baseline_result(run) is None


def test_a_table_has_one_origin(trained: Trained, tmp_path: Path) -> None:
    first, second = (copy_run(trained(BASELINE), tmp_path / name) for name in ("first", "second"))
    check_same_origin([first, second])
    change(second.folder / "config.toml", *OTHER_VERSION)
    with pytest.raises(MailError) as error:
        check_same_origin([first, second])
    assert error.value.message == (
        f"{first.folder} and {second.folder} are by two versions of mail, whose models differ. Delete one of them and "
        "run again."
    )


def test_a_table_has_one_version_of_a_method(trained: Trained, tmp_path: Path) -> None:
    first, second = (copy_run(trained(BASELINE), tmp_path / name) for name in ("first", "second"))
    change(second.folder / "config.toml", "training_version = 2", "training_version = 2\ncold_start_version = 2")
    with pytest.raises(MailError, match="are by two versions of mail, whose models differ"):
        check_same_origin([first, second])
    other = RunFolder(second.folder, replace(BASELINE, cold_start="dropout"))
    check_same_origin([first, other])


def test_a_figure_has_one_origin_too(trained: Trained, tmp_path: Path) -> None:
    first, second = (copy_run(trained(replace(BASELINE, seed=seed)), tmp_path / "runs") for seed in (0, 1))
    make_older(tmp_path / "runs")
    change(second.folder / "config.toml", *OTHER_DATASET)
    done = mail("plot", "validation", "--runs", tmp_path / "runs", "--out", tmp_path / "figures")
    assert error_line(done) == (
        f"{first.folder} and {second.folder} are on two versions of the dataset 'tiny'. Delete one of them and run again."
    )


def test_a_report_of_two_versions_of_a_dataset_is_refused(with_data: Path) -> None:
    first, second = finish_trivial("item-rate"), finish_trivial("item-bias")
    make_older(Path("runs"))
    change(first / "config.toml", *OTHER_DATASET)
    assert error_line(mail("report", "runs")) == (
        f"{second} and {first} are on two versions of the dataset 'tiny'. Delete one of them and run again."
    )
