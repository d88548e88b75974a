"""Files that are written whole or not at all, and folders that one process writes at a time."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mailcli.errors import MailError

#: Begins the name of what is being written, before a mark that nobody can guess: what is there already is a stranger's.
PARTIAL_PREFIX = ".partial-"
_MARKED = re.compile(rf"{re.escape(PARTIAL_PREFIX)}[0-9a-f]{{16}}-(.+)")


def final_name(name: str) -> str:
    """What an entry of a folder was to become, of one that a kill left unfinished; others keep their name."""
    found = _MARKED.fullmatch(name)
    return found[1] if found else name


def remove_partials(folder: Path) -> None:
    """Delete what kills left unfinished in a folder that no other process is writing to; it need not exist."""
    for path in folder.glob(f"{PARTIAL_PREFIX}*"):
        if final_name(path.name) != path.name:
            _remove(path)


@contextmanager
def write_atomically(path: Path, new: bool = False) -> Iterator[Path]:
    """Another name in the folder of `path` to write under; the file takes the place of `path` when the block ends.

    By then it is on the disk, so that a loss of power leaves the old file or the new one. After an error it is gone.

    Args:
        path: the file.
        new: never take the place of a file: FileExistsError where `path` has come to exist.
    """
    partial = _marked(path)
    # Made here, not by who writes: with the rights of any new file, and never over another.
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        _sync(partial, os.O_RDWR)
        if new:
            # Whoever makes the name owns it; the moment in which it is empty is the shortest that all disks can do.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def make_folder_atomically(path: Path) -> Iterator[Path]:
    """Another folder beside `path` to write in; it takes the name `path`, which must be free, when the block ends.

    After an error it is gone; what a kill left of one is removed by the next. One process at a time: take a FolderLock.
    """
    for left in path.parent.glob(f"{PARTIAL_PREFIX}*"):
        if final_name(left.name) == path.name:
            _remove(left)
    partial = _marked(path)
    partial.mkdir()
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            if file.is_file():
                _sync(file, os.O_RDWR)
        os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def _marked(path: Path) -> Path:
    """Ends as the file's own name does, because Keras, NumPy and Matplotlib look at that."""
    return path.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(8)}-{path.name}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open a folder.
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class FolderLock:
    """Keeps other processes out of a folder, by a file beside it; a context manager.

    Args:
        folder: need not exist; its parent is made, and goes again if nothing comes to be in it.
        busy: what to say when another process is in it.

    Raises:
        MailError: another process is in it, or the file beside it is somebody else's.
    """

    def __init__(self, folder: Path, busy: str) -> None:
        self._busy = busy
        self._lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
        self._made: list[Path] = []

    def __enter__(self) -> None:
        path = Path(self._lock.lock_file)
        if path.exists() and (not path.is_file() or path.stat().st_size):
            # It would be deleted at the end.
            raise MailError(
                f"{path}: is not a lock of ours, which are empty files. Move it away, or choose another name."
            )
        self._made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # FileLock takes a file that cannot be made for one that is held.
            path.touch()
            self._lock.acquire()
        except Timeout:
            raise MailError(self._busy) from None
        except OSError:
            self._remove_made()
            raise

    def __exit__(self, *_: object) -> None:
        # While it is held: afterwards another might hold the file that is unlinked.
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()
        self._remove_made()

    def _remove_made(self) -> None:
        # The innermost first; one that has come to hold something cannot be removed, and stays with those around it.
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
