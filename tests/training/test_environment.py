"""The commit of a run's code: that of a checkout of this project, not of one that the package is installed in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mailcli.training import environment


def git(folder: Path, *arguments: str) -> str:
    """The output of a command of Git."""
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_files_own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
