"""Runs are found by their config; what else a folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.registry import find_run

CONFIG = make_config([{"data": "tiny", "ranker": "item-bias", "history": 5}])


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", ".nfs000000000123abcd00000001"])
def test_what_systems_leave_in_any_folder_does_not_count(name: str, tiny: Dataset, tmp_path: Path) -> None:
    run = train_if_missing(CONFIG, tiny, tmp_path)
    (run.folder / name).write_bytes(b"\0")
    assert find_run(tmp_path, CONFIG, tiny).result == run.result
    assert (run.folder / name).exists()


@pytest.mark.parametrize("name", [".DS_Store.txt", "desktop.ini.old", ".nfs", "my.DS_Store"])
def test_what_has_a_similar_name_is_somebodys(name: str, tiny: Dataset, tmp_path: Path) -> None:
    run = train_if_missing(CONFIG, tiny, tmp_path)
    (run.folder / name).write_bytes(b"\0")
    with pytest.raises(MailError) as error:
        find_run(tmp_path, CONFIG, tiny)
    assert error.value.message == (f"{run.folder}: is not a run folder; it holds {name}. Choose another --runs folder.")


def test_a_damaged_config_of_an_unfinished_run_says_how_to_fix_it(tiny: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "paper" / "item-bias+none" / "seed-0"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("seed = \n", encoding="utf-8")
    with pytest.raises(MailError) as error:
        find_run(tmp_path, CONFIG, tiny)
    assert error.value.message == (
        f"{folder}/config.toml: cannot be read as TOML (Invalid value (at line 1, column 8)). Delete the folder and "
        "repeat the command that made it."
    )
