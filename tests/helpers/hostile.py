"""What every test of hostile input shares: the one line that must come, and that nothing is left behind."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.data.dataset import Dataset
from mailcli.utils.files import file_sha256

#: Files that are hard to write down in code; its README tells of each.
CORRUPT = Path(__file__).parent.parent / "corrupt"

Damage = Callable[[bytes], bytes]


def mail(*arguments: str | Path) -> str | None:
    """Give a command: None where it succeeds, else the text of its one line; all else fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a traceback: {result.exception!r}") from result.exception
    assert "Traceback" not in result.output
    if result.exit_code == 0:
        return None
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert errors == result.stderr.strip().splitlines()[-1:], result.stderr
    return errors[0].removeprefix("Error: ")


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, hidden ones too, and the folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        whole = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = file_sha256(path) if whole else ""
    return found


def columns(folder: Path) -> dict[str, str]:
    """SHA-256 of every column of a dataset."""
    return {name: value for name, value in contents(folder).items() if name.endswith(".npy")}


def use_all(dataset: Dataset) -> int:
    """Ask for every column, as the commands do for those they need; how many there are."""
    names = sorted(path.relative_to(dataset.folder).with_suffix("") for path in dataset.folder.rglob("*.npy"))
    for name in names:
        assert isinstance(dataset.column(str(name.parent), name.name)[:], np.ndarray)
    return len(names)


def put(path: Path, content: bytes) -> None:
    """Write a file in place of whatever is there."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


class Trap:
    """What a pickle would call."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (pytest.fail, ("a pickle was executed",))


def saved(values: Any, **options: Any) -> bytes:
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, values, **options)
    return file.getvalue()


def replace(path: Path, kind: str) -> None:
    """Put one of KINDS in a file's place."""
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nothing":
        path.symlink_to("nowhere")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")


KINDS = ["nothing", "directory", "pipe", "link to nothing", "link to itself", "link to a device"]
