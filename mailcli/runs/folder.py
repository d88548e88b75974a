"""The run folder: what a run leaves on disk, and what may be reused.

<runs>/<dataset>/<protocol>/<cell>/seed-<n>/
    config.toml        every setting, the defaults of the options that are not set, and the SHA-256 of dataset.json and
                       of the file of an outside ranker or method
    environment.json   versions, machine, wall time, number of parameters, times of training and scoring
    history.jsonl      one line per step (losses) and per validation (metrics)
    checkpoints/       best.weights.h5, the best epoch by validation AUC; step-<n>.npz until the run is finished;
                       best.optimizers.npz, both optimizers at the best epoch, for `mail train --continue`
    audit.npz          of a run that generates behavior: how new users are ranked with it, and with other behavior
    predictions.npy    scores of the test impressions in the dataset's order: pCTR, or pCTR and pCTCVR
    SHA256SUMS         of a finished run: the SHA-256 of each of these files, by which later changes are noticed
    result.json        metrics, the validation curve; it exists only once the run is finished
    vocabularies.npz   only of a run that continues another: the ids of its embedding table
    tensorboard/       event files, if requested
    teachers/          only until the run is finished, of a method with teachers: the run folder of each
"""

from __future__ import annotations

import json
import logging
import os
import time
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
from mailcli.runs.audit import RunAudit, read_audit, write_audit
from mailcli.runs.checksums import SUMS, check_files, read_sums, write_sums
from mailcli.runs.environment import read_environment
from mailcli.runs.history import check_history, read_history, read_validation_curve
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.runs.result import read_result
from mailcli.runs.weights_file import check_weights_file
from mailcli.utils.damage import DAMAGE_ERRORS
from mailcli.utils.files import (
    file_sha256,
    make_folder_atomically,
    remove,
    remove_partials,
    remove_partials_of,
    write_atomically,
)
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.paths import real_path
from mailcli.utils.system_errors import name_in_write_errors

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and most code that reads runs does not need it
    from mailcli.models.two_tower import TwoTower

logger = logging.getLogger(__name__)

CONFIG, ENVIRONMENT, RESULT, AUDIT = "config.toml", "environment.json", "result.json", "audit.npz"
HISTORY = "history.jsonl"
_PREDICTIONS, _VOCABULARIES = "predictions.npy", "vocabularies.npz"
CHECKPOINTS, _TENSORBOARD, _TEACHERS = "checkpoints", "tensorboard", "teachers"
_WEIGHTS, _OPTIMIZERS = f"{CHECKPOINTS}/best.weights.h5", f"{CHECKPOINTS}/best.optimizers.npz"
#: What a user may delete: only `mail train --continue` reads it (docs/retraining.md).
_DELETABLE = (_OPTIMIZERS,)
#: The files of a finished run that are checked when it is opened; the checkpoints are checked when they are read.
_SMALL_FILES = (CONFIG, ENVIRONMENT, HISTORY, _PREDICTIONS, AUDIT, RESULT, _VOCABULARIES)
#: All that a run folder may hold.
ENTRIES = (*_SMALL_FILES, SUMS, CHECKPOINTS, _TENSORBOARD, _TEACHERS)
#: Why a run folder is locked, for an error.
IN_TRAINING = "another `mail` process is training this run."


@dataclass(frozen=True)
class RunFolder:
    """A run on disk: its folder, and its settings."""

    folder: Path
    config: RunConfig
    settings: Options = field(default_factory=dict)
    """The contents of config.toml, for a run that has not begun."""
    listeners: list[Callable[[list[dict[str, Any]]], None]] = field(default_factory=list, compare=False)
    """Called with the lines that are appended to history.jsonl."""
    replaces: str = ""
    """SHA-256 of the config.toml of the run that this one replaces once it begins; empty if it replaces none."""

    @property
    def is_local(self) -> bool:
        """Whether this process writes the folder."""
        return True

    def begin(self) -> None:
        """Empty the folder (teachers stay) and write config.toml; call it once all settings are known to be valid.

        A run that this one replaces is there until then, and whole: the folder of a new run takes its place at once.
        """
        if self.is_replaceable:
            with make_folder_atomically(real_path(self.folder), replace=True) as new:
                self._write_settings(new)
                if self.teachers.is_dir():
                    self.teachers.rename(new / _TEACHERS)
            logger.info(f"{self.folder}: a new run has replaced the one with other settings.")
            return
        for path in entries(self.folder):
            if path != self.teachers:
                remove(path)
        self._write_settings(self.folder)
        logger.debug(f"{self.folder}: starting a new run.")

    def _write_settings(self, folder: Path) -> None:
        (folder / CHECKPOINTS).mkdir(parents=True)
        with write_atomically(folder / CONFIG) as partial:
            partial.write_text(tomli_w.dumps(self.settings), encoding="utf-8")

    @property
    def is_replaceable(self) -> bool:
        """Whether the folder still holds the run that this one replaces, and nothing of this one."""
        path = self.folder / CONFIG
        return bool(self.replaces) and path.is_file() and file_sha256(path) == self.replaces

    @property
    def has_begun(self) -> bool:
        """Whether the folder holds this run, finished or not; `find_run` has checked that its settings are these."""
        return (self.folder / CONFIG).is_file() and self.checkpoints.is_dir() and not self.is_replaceable

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder (MailError if another process holds it) and delete what a killed process left behind."""
        with lock_of(self.folder):
            remove_partials_of(real_path(self.folder))
            for folder in (self.folder, self.checkpoints):
                remove_partials(folder)
            yield

    @property
    def result(self) -> dict[str, Any] | None:
        """result.json of a finished run (MailError if it is damaged), or None."""
        path = self.folder / RESULT
        return read_result(path, self.config) if path.exists() and not self.is_replaceable else None

    @property
    def is_copy(self) -> bool:
        """Whether this is a copy of a finished run's small files, which `mail results` keeps."""
        names = read_sums(self.folder)
        return names is not None and _WEIGHTS not in names and not self.weights.exists()

    def check_weights(self) -> None:
        """Refuse a finished run whose weights were changed since (MailError)."""
        if self.is_copy:
            raise MailError(
                f"{self.folder}: holds no weights: it is a copy of a run's small files, as `mail results` keeps them. "
                "Expected the folder of the run itself."
            )
        check_files(self.folder, (_WEIGHTS,), required=(_WEIGHTS,), deletable=_DELETABLE)

    def check_optimizers(self) -> None:
        """Refuse a finished run whose weights or optimizers were changed since (MailError)."""
        self.check_weights()
        check_files(self.folder, (_OPTIMIZERS,), required=())

    @property
    def environment(self) -> dict[str, Any]:
        """environment.json of a finished run (MailError if it cannot be read)."""
        return read_environment(self.folder / ENVIRONMENT)

    @property
    def cost(self) -> dict[str, float]:
        """`cost` of environment.json (MailError if it cannot be read); empty for a run of an older version."""
        return dict(self.environment.get("cost", {})) if (self.folder / ENVIRONMENT).is_file() else {}

    @property
    def audit(self) -> RunAudit | None:
        """audit.npz of a finished run (MailError if it is damaged); None if it has none, see `read_audit`."""
        return read_audit(self.folder / AUDIT)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def weights(self) -> Path:
        """The best epoch's weights."""
        return self.folder / _WEIGHTS

    @property
    def optimizers(self) -> Path:
        """Both optimizers at the best epoch; a two-stage method has none."""
        return self.folder / _OPTIMIZERS

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.folder / _TENSORBOARD

    @property
    def teachers(self) -> Path:
        """The folder of the run's teachers, see mailcli/training/teachers.py."""
        return self.folder / _TEACHERS

    @property
    def vocabularies(self) -> Path:
        """The ids of the embedding table of a run that continues another."""
        return self.folder / _VOCABULARIES

    def save_weights(self, model: TwoTower) -> None:
        """Write the best epoch's weights."""
        with write_atomically(self.weights) as partial:
            model.save_weights(partial)

    def restore(self, model: TwoTower) -> None:
        """Load the best epoch's weights into a model of the run's config (MailError if they do not fit)."""
        if self.weights.exists() and not self.weights.is_file():
            # Reading a named pipe might never end.
            raise MailError(f"{self.weights}: is not a file. {TRAIN_AGAIN}")
        is_finished = (self.folder / RESULT).exists()
        if is_finished:
            self.check_weights()
        started = time.monotonic()
        try:
            if is_finished:
                check_weights_file(self.weights, model.variables)
            model.load_weights(self.weights)
        except DAMAGE_ERRORS as error:
            raise MailError(
                f"{self.weights}: is damaged, or does not fit this run's model and dataset ({error}). {TRAIN_AGAIN}"
            ) from error
        logger.debug(f"{self.weights}: weights loaded in {time.monotonic() - started:.1f} s.")

    def log(self, lines: list[dict[str, Any]]) -> int:
        """Append lines to history.jsonl, and return its length."""
        path = self.folder / HISTORY
        with name_in_write_errors(path), open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            size = os.fstat(file.fileno()).st_size
        for listener in self.listeners:
            listener(lines)
        return size

    def check_written(self, history_bytes: int, best_epoch: int) -> None:
        """Notice that another program has changed the folder while the run is training (MailError).

        Args:
            history_bytes: the length of history.jsonl after the last write.
            best_epoch: 0 if there are no weights of a best epoch yet.
        """
        path = self.folder / HISTORY
        if not path.is_file() or path.stat().st_size != history_bytes:
            changed_path = path
        elif best_epoch and not self.weights.is_file():
            changed_path = self.weights
        else:
            return
        raise MailError(
            f"{changed_path}: was changed or deleted by another program while the run was training. Training stopped; "
            "run the same command again."
        )

    def history_bytes(self) -> int:
        """The length of history.jsonl, once all of it is on disk."""
        path = self.folder / HISTORY
        with name_in_write_errors(path), open(path, "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def truncate_history(self, size: int) -> None:
        """Drop the lines of history.jsonl after a checkpoint: their steps will be repeated.

        Raises:
            MailError: a remaining line is damaged; otherwise only the end of training would notice.
        """
        with open(self.folder / HISTORY, "ab") as file:
            file.truncate(size)
        check_history(self.folder / HISTORY)

    def history(self) -> list[dict[str, Any]]:
        """The lines of history.jsonl (MailError if one is damaged)."""
        return read_history(self.folder / HISTORY)

    def validation_curve(self) -> list[dict[str, Any]]:
        """The validations in history.jsonl (MailError if one is damaged), see `read_validation_curve`."""
        return read_validation_curve(self.folder / HISTORY)

    def predictions(self) -> NDArray[np.float32] | None:
        """predictions.npy of a finished run (MailError if it cannot be read); None if it was not kept."""
        path = self.folder / _PREDICTIONS
        if not path.exists():
            return None
        try:
            scores: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except DAMAGE_ERRORS as error:
            raise MailError(f"{path}: is damaged ({error}). {TRAIN_AGAIN}") from error
        if scores.dtype.kind != "f" or scores.ndim not in {1, 2}:
            raise MailError(f"{path}: is damaged (it holds no scores). {TRAIN_AGAIN}")
        return scores

    def finish(
        self,
        scores: NDArray[np.float32],
        environment: dict[str, Any],
        result: dict[str, Any],
        audit: RunAudit | None = None,
    ) -> None:
        """Write predictions, metrics and audit; result.json comes last, so it marks the run as finished."""
        with write_atomically(self.folder / _PREDICTIONS) as partial:
            np.save(partial, scores, allow_pickle=False)
        _write(self.folder / ENVIRONMENT, _to_json(environment))
        if audit:
            write_audit(self.folder / AUDIT, audit)
        content = _to_json(result)
        files = (*_SMALL_FILES, _WEIGHTS, _OPTIMIZERS)
        write_sums(self.folder, [name for name in files if name != RESULT], {RESULT: content})
        _write(self.folder / RESULT, content)


def lock_of(folder: Path) -> FolderLock:
    """The lock of a run folder, which a process holds while it trains the run."""
    return FolderLock(folder, f"{folder}: {IN_TRAINING} Wait for it.")


def check_finished_files(folder: Path) -> None:
    """Refuse a finished run with a file that was changed since, other than the checkpoints (MailError)."""
    check_files(folder, _SMALL_FILES, required=(CONFIG, RESULT), deletable=_DELETABLE)


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted; nothing if it does not exist."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _to_json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    with write_atomically(path) as partial:
        partial.write_bytes(content)
