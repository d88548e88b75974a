"""A run whose folder another worker writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from mailcli.models.two_tower import TwoTower


class RemoteRun(RunFolder):
    """A run on a worker that is not the chief: it reads and writes no files."""

    @property
    def is_local(self) -> bool:
        """False."""
        return False

    @property
    def has_begun(self) -> bool:
        """False: only the chief knows."""
        return False

    @property
    def result(self) -> None:
        """Always None: only the chief knows."""
        return None

    def begin(self) -> None:
        """Do nothing."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock nothing."""
        yield

    def restore(self, model: TwoTower) -> None:
        """Do nothing: the chief broadcasts its weights."""

    def log(self, lines: list[dict[str, Any]]) -> int:
        """Always 0: the chief writes the history."""
        del lines
        return 0

    def history_bytes(self) -> int:
        """Always 0: the chief writes the history."""
        return 0

    def truncate_history(self, size: int) -> None:
        """Do nothing."""

    def validation_curve(self) -> list[dict[str, Any]]:
        """Always empty: the chief has it."""
        return []

    def finish(self, *_: object, **__: object) -> None:
        """Do nothing."""
