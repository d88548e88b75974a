"""What `mail schema init` says of files that have to be rewritten, and its commands, run."""

from __future__ import annotations

import csv
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.escape import terminal
from mailcli.preprocessing.schema_init.propose import propose
from tests.helpers.schema_files import write_files

USERS = "user_id,city\nU0,Rome\nU1,Oslo\n"
LOG = "user_id,item_id,timestamp,click\nU0,N1,1600000000,1\nU1,N2,1600000060,0\n"


def hints(caplog: pytest.LogCaptureFixture, folder: Path, files: dict[str, str], is_log: bool = True) -> list[str]:
    """What is said on the terminal for some files, whose log is complete or still has to be rewritten."""
    raw = write_files(folder, files)
    paths = [raw / name for name in files]
    if is_log:
        propose(paths, "my.toml")
    else:
        with pytest.raises(MailError, match=r"Rewrite this one first, as the note above says"):
            propose(paths, "my.toml")
    return [terminal(message) for message in caplog.messages]


def run(command: str) -> None:
    """What a line does that is copied from the terminal, in this process."""
    python, option, code = shlex.split(command)
    assert (python, option) == ("python", "-c")
    exec(code, {})


def run_in_shell(command: str) -> None:
    """The same, in the shell."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, shell=True, check=True, env={**os.environ, "PATH": path})


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
