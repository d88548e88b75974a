"""`--overwrite`: a run with other settings is replaced once the new one begins, and never lost before."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailcli.config import RunConfig, make_config, parse_settings
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments import estimate as estimates
from mailcli.experiments.cells import RunLayout, train_if_missing
from mailcli.experiments.run_time import Speed
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.runs.registry import find_run
from mailcli.utils.folder_lock import FolderLock
from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.files import files_of

#: The name of a folder that a kill left behind.
PARTIAL = ".partial-0123456789abcdef-seed-0"


def settings(**changes: Any) -> RunConfig:
    """The settings of the old run, and of others."""
    small = parse_settings(word for word in SMALL if word != "--set")
    return make_config([{"data": "tiny"}, small, changes])


@pytest.fixture
def old(small_runs: Path, tmp_path: Path) -> RunFolder:
    """A finished run of one epoch."""
    shutil.copytree(small_runs, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / settings().run_path
    shutil.rmtree(folder.with_name("seed-1"))
    return open_run(folder)


def names(run: RunFolder) -> list[str]:
    """What is beside and at a run's folder."""
    return sorted(path.name for path in run.folder.parent.iterdir())


def test_the_old_run_is_whole_until_the_new_one_begins(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    before = files_of(old.folder)
    new = find_run(tmp_path, settings(epochs=2), tiny, overwrite=True)
    assert (new.result, new.has_begun, new.is_replaceable) == (None, False, True)
    with new.lock():
        assert files_of(old.folder) == before
    # It takes its place at once.
    new.begin()
    assert sorted(files_of(new.folder)) == ["config.toml"]
    assert "epochs = 2\n" in (new.folder / "config.toml").read_text()
    assert (new.result, new.has_begun, new.is_replaceable) == (None, True, False)
    assert names(new) == ["seed-0"]
    # From now on it is a run like any other: the next call resumes it.
    again = find_run(tmp_path, settings(epochs=2), tiny, overwrite=True)
    assert (again.replaces, again.has_begun) == ("", True)


def test_a_run_that_fits_is_never_replaced(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")}
    folders = RunLayout(tmp_path, overwrite=True)
    assert train_if_missing(settings(), tiny, folders).result == old.result
    assert {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ranker.dropout": "1.5"}, "`dropout` should be at least 0 and below 1"),
        ({"history": 500}, "history = 500: the dataset 'tiny' keeps"),
        ({"ranker.unit": "8"}, "has no option 'unit'"),
    ],
)
def test_what_cannot_be_trained_costs_no_run(
    old: RunFolder, tiny: Dataset, tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    before = files_of(old.folder)
    with pytest.raises(MailError, match=re.escape(message)):
        train_if_missing(settings(epochs=2, **wrong), tiny, RunLayout(tmp_path, overwrite=True))
    assert files_of(old.folder) == before
    assert names(old) == ["seed-0"]


def test_a_full_disk_costs_no_run(
    old: RunFolder, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(old.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(MailError, match="1 B are free"):
        train_if_missing(settings(epochs=2), tiny, RunLayout(tmp_path, overwrite=True))
    assert files_of(old.folder) == before


def test_a_kill_between_the_two_renames(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    """The old run is at another name, the new one is not there yet."""
    before = files_of(old.folder)
    old.folder.rename(old.folder.with_name(".seed-0.old"))
    with pytest.raises(
        MailError, match=r"holds a run with other settings \(epochs: 1 -> 2\). Add --overwrite to train"
    ):
        find_run(tmp_path, settings(epochs=2), tiny)
    assert files_of(old.folder) == before
    assert find_run(tmp_path, settings(), tiny).result == old.result
    # The same with --overwrite: it is replaced again.
    old.folder.rename(old.folder.with_name(".seed-0.old"))
    new = find_run(tmp_path, settings(epochs=2), tiny, overwrite=True)
    assert files_of(old.folder) == before
    new.begin()
    assert names(new) == ["seed-0"]


def test_a_kill_before_the_old_run_is_deleted(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    """The new run has begun; the old one may be cut down already."""
    new = find_run(tmp_path, settings(epochs=2), tiny, overwrite=True)
    aside = tmp_path / "aside"
    shutil.copytree(old.folder, aside)
    (aside / "config.toml").unlink()
    new.begin()
    aside.rename(new.folder.with_name(".seed-0.old"))
    again = find_run(tmp_path, settings(epochs=2), tiny)
    assert (again.has_begun, again.result) == (True, None)
    assert names(again) == ["seed-0"]


def test_a_kill_before_the_first_rename(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    (old.folder.with_name(PARTIAL) / "checkpoints").mkdir(parents=True)
    new = find_run(tmp_path, settings(epochs=2), tiny, overwrite=True)
    assert new.is_replaceable
    with new.lock():
        assert names(new) == [".seed-0.lock", "seed-0"]


def test_while_another_process_replaces_a_run_it_is_not_brought_back(
    old: RunFolder, tiny: Dataset, tmp_path: Path
) -> None:
    aside = old.folder.with_name(".seed-0.old")
    old.folder.rename(aside)
    with FolderLock(old.folder, ""), pytest.raises(MailError) as error:
        find_run(tmp_path, settings(epochs=2), tiny)
    assert error.value.message == f"{old.folder}: another `mail` process is training this run. Wait for it."
    assert aside.is_dir()


def test_another_process_may_have_replaced_it_first(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    first, second = (find_run(tmp_path, settings(epochs=2), tiny, overwrite=True) for _ in range(2))
    first.begin()
    assert (second.has_begun, second.is_replaceable) == (True, False)
    del old


def test_a_link_to_a_run_stays_one(old: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other-disk" / "seed-0"
    elsewhere.parent.mkdir()
    old.folder.rename(elsewhere)
    old.folder.symlink_to(elsewhere)
    find_run(tmp_path, settings(epochs=2), tiny, overwrite=True).begin()
    assert old.folder.is_symlink()
    assert sorted(files_of(elsewhere)) == ["config.toml"]
    assert [path.name for path in elsewhere.parent.iterdir()] == ["seed-0"]


def test_of_the_commands_the_option_is_named_and_trains_anew(
    with_data: Path, small_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = Speed(steps=1, validations=1, step=0.01, validation=0.0, test=0.0, numbers=1)
    monkeypatch.setattr(estimates, "measure_cells", lambda cells, *_: [speed] * len(cells))
    shutil.copytree(small_runs, with_data / "runs")
    folder = Path("runs/tiny/paper/base+none/seed-0")
    other = ("train", *SMALL, "--set", "learning_rate=0.01")
    before = files_of(folder)
    assert error_line(mail(*other)) == (
        f"{folder}: holds a run with other settings (learning_rate: 0.001 -> 0.01). Add --overwrite to train it anew, or "
        "choose another --runs folder."
    )
    planned = mail("compare", "--rows", "BaseDNN", "--seeds", 3, *other[1:], "--dry-run", "--overwrite")
    assert planned.stdout.splitlines()[1] == "  BaseDNN (units=16,8), seeds to train anew: 0, 1; to train: 2"
    assert files_of(folder) == before
    done = mail(*other, "--overwrite")
    assert done.exit_code == 0, done.output
    assert f"{folder}: a new run has replaced the one with other settings." in done.stderr.splitlines()
    after = files_of(folder)
    assert after.keys() == before.keys()
    assert after["result.json"] != before["result.json"]
    assert b"learning_rate = 0.01\n" in after["config.toml"]
    # Another time there is nothing to train.
    reused = mail(*other, "--overwrite")
    assert (reused.exit_code, reused.stderr, reused.stdout) == (0, "", done.stdout)
    assert files_of(folder) == after


def test_a_trivial_row_is_replaced_too(with_data: Path) -> None:
    command = ("train", "--ranker", "item-bias", "--set")
    assert mail(*command, "history=5").exit_code == 0
    assert "Add --overwrite" in error_line(mail(*command, "history=6"))
    assert mail(*command, "history=6", "--overwrite").exit_code == 0
    assert "history = 6\n" in (with_data / "runs/tiny/paper/item-bias+none/seed-0/config.toml").read_text()
