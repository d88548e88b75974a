"""The run folder: what a run leaves on disk, and what may be reused.

<runs>/<dataset>/<protocol>/<cell>/seed-<n>/
    config.toml        every setting, the SHA-256 of dataset.json, that of a ranker's file from outside
    environment.json   versions, machine, wall time
    history.jsonl      one line per step (losses) and per epoch (validation)
    checkpoints/       best.weights.h5, the best epoch by validation AUC; step-<n>.npz until the run is finished
    predictions.npy    scores of the test impressions, in the dataset's order; pCTR and pCTCVR of a ranker with both
    result.json        metrics; it exists when the run is finished
                       best.optimizers.npz, both optimizers at that epoch, for `mail train --continue`
    vocabularies.npz   of a run that goes on with another: the ids of its table
    tensorboard/       event files, where they were asked for
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from mailcli.config import Options, RunConfig
from mailcli.errors import MailError
from mailcli.utils.files import FolderLock, remove_partials, write_atomically
from mailcli.utils.parsing import read_json

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and most of what reads runs does not need it
    from mailcli.models.two_tower import TwoTower

CONFIG, ENVIRONMENT, RESULT = "config.toml", "environment.json", "result.json"
_HISTORY = "history.jsonl"
_METRICS = ("AUC", "GAUC")
#: The key of config.toml for the dataset.
_DATASET = "dataset_sha256"
#: The key of config.toml for the ids of a run that goes on with another.
NUMBERING = "vocabularies_sha256"
_VOCABULARIES = "vocabularies.npz"
_OURS = (
    *(CONFIG, RESULT, _HISTORY, _VOCABULARIES),
    *(ENVIRONMENT, "predictions.npy", "checkpoints", "tensorboard"),
)


@dataclass(frozen=True)
class Run:
    """A run's folder and settings."""

    folder: Path
    config: RunConfig
    settings: Options = field(default_factory=dict)
    """The contents of config.toml, for a run that is yet to begin."""
    listeners: list[Callable[[list[dict[str, Any]]], None]] = field(default_factory=list, compare=False)
    """Called with the lines that are appended to history.jsonl."""

    @property
    def kept(self) -> bool:
        """Whether this process writes the folder."""
        return True

    def begin(self) -> None:
        """Make the folder anew, with config.toml and nothing else; call it when all settings are known to be right."""
        for path in _entries(self.folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.checkpoints.mkdir(parents=True)
        (self.folder / CONFIG).write_text(tomli_w.dumps(self.settings), encoding="utf-8")

    @property
    def began(self) -> bool:
        """Whether the folder holds a run of these settings, finished or not; `claim` has checked whose they are."""
        return (self.folder / CONFIG).is_file() and self.checkpoints.is_dir()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder (MailError when one is in it); what a kill left in it goes."""
        with FolderLock(self.folder, f"{self.folder}: another `mail` is training this run. Wait for it."):
            for folder in (self.folder, self.checkpoints):
                remove_partials(folder)
            yield

    @property
    def result(self) -> dict[str, Any] | None:
        """result.json of a finished run, or None."""
        path = self.folder / RESULT
        if not path.exists():
            return None
        try:
            found = dict(read_json(path)) if path.is_file() else {}
            groups = found["test"]
            whole = (
                isinstance(found["dataset"], str)
                and [found[key] for key in ("cell", "protocol", "seed")]
                == [self.config.cell, self.config.protocol, self.config.seed]
                and _is_share(groups["all"]["one_class_impressions"])
                and all(group[key] is None or _is_share(group[key]) for group in groups.values() for key in _METRICS)
                and all(value is None or _is_share(value) for value in _conversions(groups))
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise MailError(f"{path}: is damaged. Delete the folder and give its `mail train` command again.")
        return found

    @property
    def environment(self) -> dict[str, Any]:
        """environment.json of a finished run (MailError when it cannot be read)."""
        path = self.folder / ENVIRONMENT
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise MailError(f"{path}: cannot be read ({error}). Delete the folder and run again.") from error
        if not isinstance(found, dict) or not found:
            raise MailError(f"{path}: is damaged. Delete the folder and run again.")
        return found

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def weights(self) -> Path:
        """The best epoch's weights."""
        return self.checkpoints / "best.weights.h5"

    @property
    def optimizers(self) -> Path:
        """Both optimizers at the best epoch; a two-stage method has none."""
        return self.checkpoints / "best.optimizers.npz"

    @property
    def vocabularies(self) -> Path:
        """The ids of the table of a run that goes on with another."""
        return self.folder / _VOCABULARIES

    def restore(self, model: TwoTower) -> None:
        """Load the best epoch's weights into a model of the run's config (MailError when they do not fit)."""
        if self.weights.exists() and not self.weights.is_file():
            # A pipe might never end.
            raise MailError(f"{self.weights}: is not a file. Delete the folder and train again.")
        try:
            model.load_weights(self.weights)
        except (OSError, ValueError, KeyError) as error:
            raise MailError(
                f"{self.weights}: is damaged, or does not fit this run's model and dataset ({error}). Delete the "
                f"folder {self.folder} and train again."
            ) from error

    def log(self, lines: list[dict[str, Any]]) -> None:
        """Append lines to history.jsonl."""
        with open(self.folder / _HISTORY, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for listener in self.listeners:
            listener(lines)

    def history_bytes(self) -> int:
        """The length of history.jsonl, all of it on the disk."""
        with open(self.folder / _HISTORY, "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def cut_history(self, size: int) -> None:
        """Drop what history.jsonl tells of steps after a checkpoint: they are made again."""
        with open(self.folder / _HISTORY, "ab") as file:
            file.truncate(size)

    def history(self) -> list[dict[str, Any]]:
        """The lines of history.jsonl."""
        with open(self.folder / _HISTORY, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def finish(self, scores: NDArray[np.float32], environment: dict[str, Any], result: dict[str, Any]) -> None:
        """Write predictions and metrics; result.json comes last and whole, so it marks the run as finished."""
        with write_atomically(self.folder / "predictions.npy") as partial:
            np.save(partial, scores, allow_pickle=False)
        _write_json(self.folder / ENVIRONMENT, environment)
        _write_json(self.folder / RESULT, result)


class ElsewhereRun(Run):
    """A run whose folder another worker writes: here nothing is read or written."""

    @property
    def kept(self) -> bool:
        """False."""
        return False

    @property
    def began(self) -> bool:
        """False: what was begun is the chief's to know."""
        return False

    @property
    def result(self) -> None:
        """None."""
        return None

    def begin(self) -> None:
        """Nothing."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep nobody out."""
        yield

    def restore(self, model: TwoTower) -> None:
        """Nothing: the chief gives its weights to all."""

    def log(self, lines: list[dict[str, Any]]) -> None:
        """Nothing."""

    def history_bytes(self) -> int:
        """0"""
        return 0

    def cut_history(self, size: int) -> None:
        """Nothing."""

    def finish(self, scores: NDArray[np.float32], environment: dict[str, Any], result: dict[str, Any]) -> None:
        """Nothing."""


def _is_share(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= 1


def _conversions(groups: dict[str, dict[str, Any]]) -> list[Any]:
    return [value for group in groups.values() for key, value in group.items() if key.startswith("CTCVR")]


def _write_json(path: Path, data: dict[str, Any]) -> None:
    with write_atomically(path) as partial:
        partial.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
