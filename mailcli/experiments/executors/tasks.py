"""What worker processes work on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from mailcli.config import RunConfig
from mailcli.experiments.cells import RunLayout


class PoolTask(Protocol):
    """What a pool works on: a run to train, or a search of many."""

    @property
    def config(self) -> RunConfig:
        """Of the run, or of the search before it has found a better one."""

    @property
    def dataset(self) -> Path:
        """The dataset's folder."""

    @property
    def run_count(self) -> int:
        """The number of runs that it takes."""

    @property
    def noun(self) -> str:
        """What several of them are called."""


class Task(NamedTuple):
    """A run to train."""

    config: RunConfig
    dataset: Path
    """The dataset's folder."""
    folders: RunLayout
    checkpoint_minutes: float | None
    """Time between checkpoints; None for the default."""

    @property
    def run_count(self) -> int:
        """A task trains a single run."""
        return 1

    @property
    def noun(self) -> str:
        """As the messages count them."""
        return "runs"
