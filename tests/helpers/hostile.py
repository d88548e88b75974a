"""Shared by all tests of hostile input: an error must be one line, and nothing may be left behind."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.utils.files import file_sha256
from tests.helpers import command_line

#: Files that are hard to write as code; the README in the folder describes them.
CORRUPT = Path(__file__).parent.parent / "corrupt"

Damage = Callable[[bytes], bytes]


def error_of(*arguments: str | Path) -> str | None:
    """Run a command: None if it succeeds, or its error; anything but an error of one line fails the test."""
    result = command_line.mail(*arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a traceback: {result.exception!r}") from result.exception
    assert "Traceback" not in result.output
    return None if result.exit_code == 0 else command_line.error_line(result)


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder and its subfolders, also of hidden ones; empty for folders and links."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        is_file = path.is_file() and not path.is_symlink()
        hashes[str(path.relative_to(folder))] = file_sha256(path) if is_file else ""
    return hashes


def columns(folder: Path) -> dict[str, str]:
    """SHA-256 of every column of a dataset."""
    return {name: value for name, value in contents(folder).items() if name.endswith(".npy")}


def use_all(dataset: Dataset) -> int:
    """Read every column of a dataset, as the commands do; returns their number."""
    names = sorted(path.relative_to(dataset.folder).with_suffix("") for path in dataset.folder.rglob("*.npy"))
    for name in names:
        assert isinstance(dataset.column(str(name.parent), name.name)[:], np.ndarray)
    return len(names)


def put(path: Path, content: bytes) -> None:
    """Replace a file, whatever it is."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


class Trap:
    """Fails the test if it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (pytest.fail, ("a pickle was executed",))


def saved(values: Any, **options: Any) -> bytes:
    """The bytes of a .npy file that holds the values."""
    file = io.BytesIO()
    np.save(file, values, **options)
    return file.getvalue()


def replace(path: Path, kind: str) -> None:
    """Replace a file by one of KINDS."""
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


#: What may be in a file's place.
KINDS = ["nothing", "directory", "pipe", "link to nothing", "link to itself", "link to a device"]
