"""Keeps other processes out of a folder."""

from __future__ import annotations

import errno
import stat
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mailcli.errors import MailError
from mailcli.utils.paths import named, real_path
from mailcli.utils.system_errors import name_in_write_errors

#: Errors of a lock that another process holds.
_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


class FolderLock:
    """Keeps other processes out of a folder by a lock file next to it; a context manager.

    Args:
        folder: need not exist. Missing parents are created, and removed again if they stay empty. Links that lead to
            one folder share its lock.
        busy: the error message when another process holds the lock.

    Raises:
        MailError: another process holds the lock, the lock file's name is taken by another file, or the file system has
            no locks.
    """

    def __init__(self, folder: Path, busy: str) -> None:
        self._busy = busy
        folder = real_path(folder) if folder.is_symlink() else named(folder)
        self._folder = folder
        self._lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
        self._new_folders: list[Path] = []

    @property
    def path(self) -> Path:
        """The lock file."""
        return Path(self._lock.lock_file)

    def is_held(self) -> bool:
        """Whether another process holds the lock, also if it is another user's and so cannot be tried."""
        if not self.path.is_file() or self._is_foreign():
            return False
        try:
            if _lock_error(self.path):
                return False
            self._lock.acquire()
        except (Timeout, PermissionError):
            return True
        # A killed process left it behind; in another user's folder it stays.
        with suppress(PermissionError):
            self.path.unlink(missing_ok=True)
        self._lock.release()
        return False

    def __enter__(self) -> None:
        path = self.path
        if self._is_foreign():
            # It would be deleted at the end.
            raise MailError(
                f"{path}: is not one of mail's lock files (those are empty). Move it away, or choose another name."
            )
        self._new_folders = [folder for folder in path.parents if not folder.exists()]
        try:
            with name_in_write_errors(self._folder, path):
                path.parent.mkdir(parents=True, exist_ok=True)
                # FileLock mistakes a file that cannot be created for one that is locked.
                path.touch()
            error = _lock_error(path)
            if error:
                path.unlink()
                self._remove_new_folders()
                raise MailError(
                    f"{self._folder}: its file system cannot lock files ({error.strerror}). Choose a folder on another "
                    "disk."
                )
            self._lock.acquire()
        except Timeout:
            raise MailError(self._busy) from None
        except OSError:
            self._remove_new_folders()
            raise

    def __exit__(self, *_: object) -> None:
        # Before the release: afterwards another process might hold the file that is unlinked.
        self.path.unlink(missing_ok=True)
        self._lock.release()
        self._remove_new_folders()

    def _is_foreign(self) -> bool:
        """Whether something else has the lock file's name: a lock file is an empty regular file."""
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return not stat.S_ISREG(status.st_mode) or status.st_size > 0

    def _remove_new_folders(self) -> None:
        # The innermost first; the first one that is not empty stops the loop.
        with suppress(OSError):
            for folder in filter(Path.exists, self._new_folders):
                folder.rmdir()


def _lock_error(path: Path) -> OSError | None:
    """Why a file cannot be locked by anybody; None if it can be, or is.

    Versions of FileLock differ in what they make of it: a lock that is held, another kind of lock, or an error.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where every file can be locked.
        return None
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in _HELD else error
    return None
