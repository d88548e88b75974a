"""Run folders are found wherever they lie below a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.runs import inventory
from mailcli.runs.inventory import ListedRun
from mailcli.runs.run_folders import check_is_run, run_folders


def make_run(folder: Path, name: str = "config.toml") -> Path:
    folder.mkdir(parents=True)
    (folder / name).touch()
    return folder


def test_by_path_and_seed(tmp_path: Path) -> None:
    cell = tmp_path / "runs/ml/paper/base+none"
    for seed in (10, 9, 0):
        make_run(cell / f"seed-{seed}")
    make_run(cell / "best")
    (cell / "seed-4").mkdir()
    other = make_run(tmp_path / "runs/ml/paper/base+mail/seed-3", "result.json")
    assert run_folders(tmp_path) == [other, cell / "seed-0", cell / "seed-9", cell / "seed-10"]
    assert run_folders(tmp_path, ["result.json"]) == [other]
    assert run_folders(cell / "seed-0") == [cell / "seed-0"]
    assert run_folders(tmp_path / "nowhere") == []


def test_behind_links_and_each_once(tmp_path: Path) -> None:
    elsewhere = make_run(tmp_path / "disk/ml/seed-0")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/ml").symlink_to(elsewhere.parent)
    # A circle, and a second way to the same run.
    (elsewhere.parent / "back").symlink_to(tmp_path / "runs")
    assert run_folders(tmp_path / "runs") == [tmp_path / "runs/ml/seed-0"]
    # In a folder that comes before the run's own.
    (tmp_path / "a").mkdir()
    (tmp_path / "a/shared").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/0").symlink_to("ml")
    assert run_folders(tmp_path) == [elsewhere], "its own path, not that of a link"


def test_folders_that_vanish_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "base/seed-1")
    make_run(tmp_path / "aside/seed-0")
    is_symlink = Path.is_symlink

    def vanish(path: Path) -> bool:
        # os.walk has listed both, and has not come to the first one.
        shutil.rmtree(tmp_path / "aside", ignore_errors=True)
        return is_symlink(path)

    monkeypatch.setattr(Path, "is_symlink", vanish)
    assert run_folders(tmp_path) == [run]


def test_a_run_that_is_deleted_meanwhile_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (make_run(tmp_path / f"seed-{seed}") for seed in (0, 1))
    inspect = inventory.inspect_run

    def delete_next(folder: Path) -> ListedRun:
        shutil.rmtree(second, ignore_errors=True)
        return inspect(folder)

    monkeypatch.setattr(inventory, "inspect_run", delete_next)
    assert [run.folder for run in inventory.list_runs(tmp_path)] == [first]


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "base/seed-1")
    check_is_run(run)
    with pytest.raises(MailError) as error:
        check_is_run(tmp_path)
    assert error.value.message == (
        f"{tmp_path}: holds no config.toml, so it is not a run folder. Name one of the runs in it, e.g. {run}."
    )
