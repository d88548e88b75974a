"""Checkpoints of an unfinished run: all that its next step depends on, each written completely or not at all.

<run>/checkpoints/step-<n>.npz holds an array for each variable and, as JSON text, the training state.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
import time
import zipfile
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.runs.folder import entries
from mailcli.runs.variable_files import (
    check_stored,
    save_variables,
    shape_and_dtype,
    stored_variable,
)
from mailcli.utils.damage import DAMAGE_ERRORS
from mailcli.utils.files import existing_parent, remove
from mailcli.utils.sizes import size_text
from mailcli.utils.system_errors import advice

if TYPE_CHECKING:
    from mailcli.runs.folder import RunFolder

logger = logging.getLogger(__name__)

#: Checkpoints that are kept (ours): the older one is a spare, should the newer one be damaged.
KEPT = 2
#: Copies of all variables on the disk at most: the checkpoints, the best epoch, and one of these as it is rewritten.
PEAK_COPIES = KEPT + 2
#: The array that holds the training state, as JSON in UTF-8.
_STATE = "progress"
_NAME = re.compile(r"step-(\d+)\.npz")


def checkpoint_files(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder, which need not exist, by their number of steps; the newest first."""
    paths = {int(match[1]): path for path in folder.glob("*") if (match := _NAME.fullmatch(path.name))}
    return {steps: paths[steps] for steps in sorted(paths, reverse=True)}


def is_trained(run: RunFolder) -> bool:
    """Whether training has come to its end: only then do the best epoch's weights outlive the checkpoints."""
    return run.weights.is_file() and not checkpoint_files(run.checkpoints)


def delete_checkpoints(folder: Path) -> None:
    """Delete all checkpoints in a folder; the best epoch, which may be there as well, stays."""
    for path in checkpoint_files(folder).values():
        path.unlink()


@dataclass
class TrainingState:
    """How far a run has come."""

    epoch: int = 1
    """The current epoch, from 1."""
    step: int = 0
    """Completed steps of this epoch."""
    steps: int = 0
    """Completed steps of all epochs."""
    history_bytes: int = 0
    """The length of history.jsonl."""
    validated: int = 0
    """The value of `steps` at the last validation."""
    seconds: float = 0.0
    """Seconds of training, with validations, in all processes so far; checkpoints of older versions lack it."""
    worse: int = 0
    """Validations since the best one."""
    best: dict[str, Any] = field(default_factory=lambda: {"best_epoch": 0})
    """What result.json would hold about the best epoch so far."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are.
        variables: all that a step reads and changes, in the same order in every process.
    """

    def __init__(self, folder: Path, variables: Sequence[Any]) -> None:
        self._folder = folder
        self._variables = variables

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint and delete all but the newest KEPT.

        Raises:
            MailError: it cannot be written, for example because the disk is full; older ones are left intact.
        """
        path = self._folder / f"step-{state.steps}.npz"
        text = np.frombuffer(json.dumps(asdict(state)).encode(), np.uint8)
        started = time.monotonic()
        try:
            save_variables(path, self._variables, {_STATE: text})
        except OSError as error:
            raise MailError(
                f"{path}: cannot be written ({error.strerror or error}). {self.describe_newest()} {advice(error)}"
            ) from error
        for older in self._newest_first()[KEPT:]:
            older.unlink()
        logger.debug(f"{path}: checkpoint of step {state.steps} written in {time.monotonic() - started:.2f} s.")

    def restore(self, history_bytes: int, steps_per_epoch: int, has_best: bool = True) -> TrainingState | None:
        """Set the variables to the newest valid checkpoint, with a warning for each damaged one; None without any.

        Args:
            history_bytes: the length of history.jsonl; a checkpoint that expects more does not belong to it.
            steps_per_epoch: a checkpoint beyond the end of its epoch does not belong to the run.
            has_best: whether the best epoch's weights are there, without which the run could not end.
        """
        from mailcli.models.table.rows import write_parts

        for path in self._newest_first():
            try:
                state = _read_state(path, self._variables)
                if state.history_bytes > history_bytes:
                    raise ValueError("history.jsonl is shorter than it expects")
                if state.step > steps_per_epoch:
                    raise ValueError(f"it is at step {state.step} of an epoch of {steps_per_epoch}")
                if state.best["best_epoch"] and not has_best:
                    raise ValueError("the weights of its best epoch are missing")
            except DAMAGE_ERRORS as error:
                logger.warning(f"{path}: is damaged; skipping it ({error}).")
                continue
            with zipfile.ZipFile(path) as archive:
                for number, variable in enumerate(self._variables):
                    write_parts(variable, stored_variable(archive, number).parts)
            return state
        return None

    def describe_newest(self) -> str:
        """A sentence about the newest checkpoint."""
        paths = self._newest_first()
        return f"The last good checkpoint is {paths[0]}." if paths else "There is no checkpoint yet."

    def _newest_first(self) -> list[Path]:
        return list(checkpoint_files(self._folder).values())


def newest_state(folder: Path) -> TrainingState | None:
    """The training state of the newest readable checkpoint of a folder, whose variables are not read; None without."""
    for path in checkpoint_files(folder).values():
        try:
            check_stored(path)
            with np.load(path, allow_pickle=False) as file:
                return _parse_state(file[_STATE])
        except DAMAGE_ERRORS as error:
            logger.debug(f"{path}: is damaged; skipping it ({error}).")
    return None


def delete_leftovers(run: RunFolder) -> None:
    """Delete the checkpoints and teachers of a finished run, which a kill right after its end left behind."""
    if not any(_NAME.fullmatch(path.name) for path in entries(run.checkpoints)):
        return
    try:
        with run.lock():
            remove(run.teachers)
            delete_checkpoints(run.checkpoints)
    except MailError:
        logger.debug(f"{run.folder}: another process is finishing this run, and deletes its checkpoints.")


def _read_state(path: Path, variables: Sequence[Any]) -> TrainingState:
    """The state in a checkpoint; one of DAMAGE_ERRORS if the file is damaged or holds other variables."""
    check_stored(path)
    with np.load(path, allow_pickle=False) as file:
        state = _parse_state(file[_STATE])
    with zipfile.ZipFile(path) as archive:
        stored = []
        for number in range(len(archive.namelist()) - 1):
            shape, dtype, parts = stored_variable(archive, number)
            # Reading to the end checks the CRC-32.
            deque(parts, maxlen=0)
            stored.append((shape, dtype))
    if stored != [shape_and_dtype(variable) for variable in variables]:
        raise ValueError("it holds other variables than the run has")
    return state


def _parse_state(text: NDArray[np.uint8]) -> TrainingState:
    """The state in a checkpoint's JSON; one of DAMAGE_ERRORS if it is none."""
    state = TrainingState(**json.loads(text.tobytes().decode()))
    best = state.best["best_epoch"]
    values = asdict(state)
    seconds = values.pop("seconds")
    if type(seconds) not in {int, float} or not 0 <= seconds <= sys.float_info.max:
        raise ValueError("its seconds are invalid")
    numbers = [value for value in values.values() if not isinstance(value, dict)] + [best]
    if any(type(number) is not int or number < 0 for number in numbers) or not state.epoch >= max(best, 1):
        raise ValueError("its training state is invalid")
    if best and not 0 <= state.best["validation"]["all"]["AUC"] <= 1:
        raise ValueError("its best epoch is invalid")
    return state


def check_disk_space(folder: Path, variables: Iterable[Any]) -> None:
    """Refuse to begin if the checkpoints and the best epoch's variables would not fit on the disk (MailError)."""
    # Four bytes per number: what is not float32 is small.
    needed = PEAK_COPIES * sum(4 * int(np.prod(variable.shape)) for variable in variables)
    free = shutil.disk_usage(existing_parent(folder)).free
    if free < needed:
        raise MailError(
            f"{folder}: {size_text(free)} are free, and the checkpoints of this run may need {size_text(needed)}, "
            f"{size_text(needed - free)} more. Free some space, or choose another --runs folder."
        )
