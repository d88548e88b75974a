"""environment.json: read whatever version wrote it, and refused where a value is not of its kind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mailcli.errors import MailError
from mailcli.runs import environment
from mailcli.runs.environment import read_environment, versions_and_machine

GOOD: dict[str, Any] = {
    "mail": "0.1.0",
    "commit": None,
    "numpy": "2.4.6",
    "machine": "x86_64",
    "threads": 1,
    "instructions": ["avx", "fma"],
    "seconds": 12.5,
    "cost": {"parameters": 10, "training_seconds": 0.5},
}


def git(folder: Path, *arguments: str) -> str:
    """The output of a command of Git."""
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_files_own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of a project in which the package is installed."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "mine.py").touch()
    git(tmp_path, "add", "mine.py")
    git(tmp_path, "commit", "--quiet", "--message", "mine")
    installed = tmp_path / ".venv" / "environment.py"
    installed.parent.mkdir()
    installed.touch()
    commits = []
    for file in (tmp_path / "mine.py", installed, tmp_path / "nowhere" / "environment.py"):
        monkeypatch.setattr(environment, "__file__", str(file))
        commits.append(environment.environment(1.0, {})["commit"])
    assert commits == [git(tmp_path, "rev-parse", "HEAD"), None, None]


def test_versions_and_machine_leave_out_what_is_not_known() -> None:
    assert versions_and_machine({**GOOD, "cores": 2}) == {
        "mail": "0.1.0",
        "numpy": "2.4.6",
        "machine": "x86_64",
        "cores": "2",
        "threads": "1",
        "instructions": "avx fma",
    }


def test_what_a_version_did_not_write_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    for contents in (GOOD, {"mail": "0.1.0"}, {**GOOD, "commit": "0ce5dc44", "new": [1]}):
        path.write_text(json.dumps(contents))
        assert read_environment(path) == contents


@pytest.mark.parametrize(
    "change",
    [
        {"mail": 1},
        {"commit": 7},
        {"numpy": ["2"]},
        {"threads": "1"},
        {"threads": -1},
        {"seconds": True},
        {"instructions": "avx"},
        {"instructions": [None]},
        {"cost": [1]},
        {"cost": {"parameters": None}},
        {"cost": {"parameters": -0.5}},
    ],
)
def test_a_value_of_another_kind_is_one_error(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(MailError) as error:
        read_environment(path)
    assert error.value.message == f"{path}: is damaged. Delete the folder and repeat the command that made it."


@pytest.mark.parametrize("text", ["", "{", '{"seconds": NaN}', '{"cost": {"parameters": Infinity}}'])
def test_what_is_no_json_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "environment.json"
    path.write_text(text)
    with pytest.raises(
        MailError,
        match=r"environment.json: cannot be read \(.+\). Delete the folder and repeat the command that made it.$",
    ):
        read_environment(path)
