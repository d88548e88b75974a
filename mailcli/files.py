"""Files that are written whole or not at all, and folders that one process writes at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mailcli.errors import MailError

#: Begins the name of a file that is being written; it ends as the file's own does, because Keras looks at that.
PARTIAL = "partial-"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another name in the folder of `path` to write under; the file takes the place of `path` when the block ends.

    By then it is on the disk, so that a loss of power leaves the old file or the new one. After an error it is gone.
    """
    partial = path.with_name(PARTIAL + path.name)
    try:
        yield partial
        _sync(partial, os.O_RDWR)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)
    if os.name == "posix":  # Windows cannot open a folder.
        _sync(path.parent, os.O_RDONLY)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Another folder beside `path` to write in; it takes the name `path`, which must be free, when the block ends.

    After an error it is gone; what a kill left of one is removed by the next. One process at a time: take a Lock.
    """
    partial = path.with_name(PARTIAL + path.name)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        for file in sorted(partial.rglob("*")):
            if file.is_file():
                _sync(file, os.O_RDWR)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    os.rename(partial, path)
    if os.name == "posix":  # Windows cannot open a folder.
        _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Lock:
    """Keeps other processes out of a folder, by a file beside it; a context manager.

    Args:
        folder: need not exist; its parent is made, and goes again if nothing comes to be in it.
        busy: what to say when another process is in it.

    Raises:
        MailError: another process is in it.
    """

    def __init__(self, folder: Path, busy: str) -> None:
        self._busy = busy
        self._lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
        self._made: list[Path] = []

    def __enter__(self) -> None:
        path = Path(self._lock.lock_file)
        self._made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise MailError(self._busy) from None

    def __exit__(self, *_: object) -> None:
        # While it is held: afterwards another might hold the file that is unlinked.
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()
        # The innermost first; one that has come to hold something cannot be removed, and stays with those around it.
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()
