"""Files and folders that appear complete or not at all, and a file's hash."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.paths import real_path
from mailcli.utils.system_errors import name_in_write_errors

#: Starts the name of an unfinished file or folder. Random digits follow, so that no existing file is overwritten.
PARTIAL_PREFIX = ".partial-"
_PARTIAL_NAME = re.compile(rf"{re.escape(PARTIAL_PREFIX)}[0-9a-f]{{16}}-(.+)")


def final_name(name: str) -> str:
    """The name that an unfinished file or folder would have received; any other name unchanged."""
    match = _PARTIAL_NAME.fullmatch(name)
    return match[1] if match else name


def remove_partials(folder: Path) -> None:
    """Delete unfinished files and folders that a kill left in a folder; it need not exist.

    No other process may be writing to the folder.
    """
    for path in folder.glob(f"{PARTIAL_PREFIX}*"):
        if final_name(path.name) != path.name:
            remove(path)


def remove_partials_of(path: Path) -> None:
    """Delete partial copies of this file or folder that a killed process left; lock its folder first (FolderLock)."""
    for left in path.parent.glob(f"{PARTIAL_PREFIX}*"):
        if left.name != path.name and final_name(left.name) == path.name:
            remove(left)


def existing_parent(path: Path) -> Path:
    """The path, or the innermost of its parents that exists."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


@contextmanager
def write_atomically(path: Path, new: bool = False) -> Iterator[Path]:
    """Yield a temporary path next to `path`; what is written there replaces `path` when the block ends.

    The data is synced to disk first, so a power failure leaves either the old file or the new one. After an error the
    temporary file is deleted.

    Args:
        path: the file to write.
        new: never replace a file: FileExistsError if `path` exists by then.
    """
    partial = _partial_path(path)
    with name_in_write_errors(path, partial):
        # Created here, not by the caller: with the permissions of any new file, and never over an existing one.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    is_ours = False
    try:
        with name_in_write_errors(path, partial):
            yield partial
            _sync(partial, os.O_RDWR)
        if new:
            # Whoever creates the name owns it. It is empty for a moment; not every file system can do better.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            is_ours = True
        with name_in_write_errors(path, partial):
            os.replace(partial, path)
    except BaseException:
        # An error after the file was replaced has no partial one left, and the file is whole.
        if is_ours and partial.exists():
            path.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Like `write_atomically`, but where `path` is a link, the file that it leads to is replaced.

    It also deletes what a kill left of writing the file (MailError: it is being written).
    """
    path = real_path(path) if path.is_symlink() else path
    lock = FolderLock(path, f"{path}: another `mail` process is writing it. Wait for it, or choose another name.")
    with name_in_write_errors(path, lock.path), lock:
        remove_partials_of(path)
        with write_atomically(path) as partial:
            yield partial


@contextmanager
def make_folder_atomically(path: Path, replace: bool = False, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary folder next to `path`; it is renamed to `path` when the block ends.

    After an error it is deleted; what a kill leaves behind is deleted by the next call. Only one process at a time may
    make a folder: use a FolderLock.

    Args:
        path: the folder to make. Its parent exists.
        replace: whether it may replace a folder; otherwise `path` must not exist, or be empty.
        sync: whether the data is synced to disk first, so that it survives a power failure.
    """
    remove_partials_of(path)
    if replace:
        restore_folder(path)
    partial = _partial_path(path)
    with name_in_write_errors(path, partial):
        partial.mkdir()
    try:
        with name_in_write_errors(path, partial):
            yield partial
            if sync:
                for file in sorted(partial.rglob("*")):
                    if file.is_file():
                        _sync(file, os.O_RDWR)
        with name_in_write_errors(path, partial):
            (replace_folder if replace else os.rename)(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if sync:
        _sync_folder(path.parent)


def replace_folder(new: Path, path: Path) -> None:
    """Rename `new` to `path` and delete the old `path`, if any."""
    old = _old_path(path)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.rename(path, old)
    os.rename(new, path)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Bring back the old folder if `replace_folder` was killed between its renames, and delete it if after them."""
    old = _old_path(path)
    if not old.exists():
        return
    if path.exists():
        remove(old)
    else:
        os.rename(old, path)


def is_half_replaced(path: Path) -> bool:
    """Whether `replace_folder` was killed, or is at work, between its first rename and its end."""
    return _old_path(path).exists()


def _old_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _partial_path(path: Path) -> Path:
    """A hidden name that keeps the file's ending, because Keras, NumPy and Matplotlib look at it."""
    return path.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(8)}-{path.name}")


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists; of a link only the link, since what it leads to may be shared."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def delete_folder(path: Path) -> None:
    """Delete a folder, or a link to one, so that nobody sees it half-deleted: it gets a partial name first.

    What a kill leaves behind is deleted by the next call. No other process may be using the folder: use a FolderLock.
    """
    remove_partials_of(path)
    partial = _partial_path(path)
    os.rename(path, partial)
    remove(partial)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open a folder.
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def size_and_time(folder: Path) -> tuple[int, float]:
    """The bytes of a folder's files, and when one was last written; a file may vanish meanwhile."""
    size, newest = 0, folder.stat().st_mtime
    # os.walk passes over folders that vanish; Path.rglob raises an error.
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(parent, name))
                size, newest = size + status.st_size, max(newest, status.st_mtime)
    return size, newest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
