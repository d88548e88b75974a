"""SHA256SUMS of a finished run: the SHA-256 of its files, in the format of `sha256sum`, by which changes are noticed.

The small files are checked when a run is opened, the checkpoints when they are read. Runs of versions that wrote no
SHA256SUMS are read without these checks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from mailcli.errors import MailError, shorten
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.utils.files import file_sha256, write_atomically
from mailcli.utils.system_errors import unreadable

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_./-]{1,200})\n")


def write_sums(folder: Path, names: Iterable[str], contents: Mapping[str, bytes]) -> None:
    """Write SHA256SUMS.

    Args:
        folder: of the run.
        names: files of the folder; those that do not exist are left out.
        contents: of files that are not written yet, by name.
    """
    sums = {name: file_sha256(folder / name) for name in names if (folder / name).is_file()}
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    _write(folder, sums)


def copy_sums(source: Path, target: Path, names: Collection[str]) -> None:
    """Write SHA256SUMS of a folder that holds copies of some of a run's files; none if the run has none."""
    sums = read_sums(source)
    if sums is None:
        (target / SUMS).unlink(missing_ok=True)
    else:
        _write(target, {name: digest for name, digest in sums.items() if name in names})


def _write(folder: Path, sums: Mapping[str, str]) -> None:
    with write_atomically(folder / SUMS) as partial:
        partial.write_bytes("".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())


def check_files(
    folder: Path, names: Collection[str], required: Collection[str], deletable: Collection[str] = ()
) -> None:
    """Refuse a run with a file that was changed or deleted after it had finished (MailError).

    Args:
        folder: of the run.
        names: the files to check, as far as SHA256SUMS names them.
        required: those that it must name.
        deletable: those that may be missing although it names them.
    """
    sums = read_sums(folder)
    if sums is None:
        return
    unnamed = [name for name in required if name not in sums]
    if unnamed:
        raise MailError(f"{folder / SUMS}: has no line for {unnamed[0]}. {TRAIN_AGAIN}")
    # All of them: a name that was changed is that of no file.
    for name in sums:
        if name not in deletable and not (folder / name).is_file():
            raise MailError(f"{folder / name}: is missing, although {SUMS} names it. {TRAIN_AGAIN}")
    for name in names:
        if name in sums:
            _check_file(folder / name, sums[name])


def _check_file(path: Path, digest: str) -> None:
    """Refuse a file that was changed, or cannot be read (MailError)."""
    try:
        is_changed = file_sha256(path) != digest
    except OSError as error:
        raise unreadable(path, error) from error
    if is_changed:
        raise MailError(
            f"{path}: was changed after the run had finished: its SHA-256 is not that in {SUMS}. {TRAIN_AGAIN}"
        )


def read_sums(folder: Path) -> dict[str, str] | None:
    """The SHA-256 of each file, by name; None for a run without SHA256SUMS (MailError if it is damaged)."""
    path = folder / SUMS
    if not path.exists():
        return None
    if not path.is_file():
        raise MailError(f"{path}: is not a file. {TRAIN_AGAIN}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    sums: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(keepends=True), start=1):
        match = _LINE.fullmatch(line)
        if not match:
            raise MailError(
                f"{path}: line {number} is {shorten(line)}. Expected a SHA-256, two spaces and a file's name. "
                f"{TRAIN_AGAIN}"
            )
        sums[match[2]] = match[1]
    return sums
