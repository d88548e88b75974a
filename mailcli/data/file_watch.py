"""Files that stay as they are while they are in use: changes are noticed by inode, size and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailcli.errors import Interrupted, MailError

#: Inode, bytes, and the time of the last change in nanoseconds.
_State = tuple[int, int, int]


class FileWatch:
    """Remembers the state of a dataset's files."""

    def __init__(self) -> None:
        self._states: dict[Path, _State | None] = {}

    def add(self, paths: Iterable[Path]) -> None:
        """Remember the present state of files; call it before they are read."""
        self._states |= {path: _state(path) for path in paths}

    def check(self) -> None:
        """Raise if a file was changed, replaced or deleted since (MailError)."""
        for path, state in self._states.items():
            now = _state(path)
            if now != state:
                change = "deleted" if now is None else "overwritten"
                raise MailError(
                    f"{path}: was {change} while the dataset was in use. Restore the dataset and run the same command "
                    "again. Expected a dataset that does not change while it is in use: give the new one another name."
                )

    @contextmanager
    def changes_reported(self) -> Iterator[None]:
        """Report an error within the block as a change of the files, if they were changed meanwhile (MailError)."""
        try:
            yield
        except Interrupted:
            raise
        except Exception:
            self.check()
            raise


def _state(path: Path) -> _State | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
