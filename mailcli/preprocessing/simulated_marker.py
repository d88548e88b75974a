"""SIMULATED.json: the note next to simulated raw files, so that they never pass for real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mailcli.errors import MailError
from mailcli.preprocessing.gzip_file import is_gzip
from mailcli.utils.parsing import read_json

#: Name of the note.
MARKER = "SIMULATED.json"


def write_marker(folder: Path, files: Sequence[Path], settings: dict[str, Any]) -> None:
    """Note the simulator's settings and the sizes of the files it wrote."""
    note = {**settings, "files": {path.name: path.stat().st_size for path in files}}
    (folder / MARKER).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def read_marker(folder: Path, files: Sequence[Path]) -> dict[str, Any] | None:
    """The simulator's settings, or None if the files are not simulated.

    Raises:
        MailError: the note cannot be read, or was written for other files.
    """
    path = folder / MARKER
    if not path.is_file():
        return None
    note, sizes = _read_note(path)
    for file in files:
        noted = sizes.get(file.name.removesuffix(".gz"))
        size = _unpacked_size(file)
        if noted is None or size != (noted % 2**32 if is_gzip(file) else noted):
            raise MailError(
                f"{path}: was not written for {file.name} ({size} bytes, the note says {noted}), so it is not known "
                "whether the data is simulated. Keep real and simulated files in different folders."
            )
    return note


def simulated_files(folder: Path) -> list[Path]:
    """The files that the simulator wrote into a folder, by its note (MailError: it cannot be read)."""
    return [folder / Path(name).name for name in _read_note(folder / MARKER)[1]]


def _read_note(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The simulator's settings, and the sizes of its files by name (MailError)."""
    try:
        note = dict(read_json(path))
        sizes = dict(note.pop("files"))
        if not all(type(size) is int for size in sizes.values()):
            raise ValueError("'files' does not hold sizes")
    except (ValueError, KeyError, TypeError) as error:
        raise MailError(f"{path}: cannot be read ({error}). Simulate the files again.") from error
    return note, sizes


def _unpacked_size(file: Path) -> int:
    """Bytes of the unpacked file; of a .gz modulo 2³², from its last four bytes (RFC 1952)."""
    if not is_gzip(file) or file.stat().st_size < 4:
        return file.stat().st_size
    with open(file, "rb") as packed:
        packed.seek(-4, 2)
        return int.from_bytes(packed.read(4), "little")
