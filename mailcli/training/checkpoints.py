"""Checkpoints of a run in progress: all that the next step depends on, written whole or not at all.

<run>/checkpoints/step-<n>.npz holds an array for each variable and, as text, where the run stands. The zip format has a
CRC-32 of each array, which is checked when it is read. Nothing in it is executed: no pickle.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.utils.files import write_atomically

logger = logging.getLogger(__name__)


#: The older one is there for when the newer one is damaged.
KEPT = 2
#: The array that holds where the run stands, as JSON in UTF-8.
_PROGRESS = "progress"
#: What reading a damaged one may raise; the last three come of an array's header.
_DAMAGES = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile),
    *(RecursionError, MemoryError, SyntaxError),
)
_NAME = re.compile(r"step-(\d+)\.npz")


@dataclass
class Progress:
    """Where a run stands."""

    epoch: int = 1
    """The epoch that is going on, from 1."""
    step: int = 0
    """Its steps that are done."""
    steps: int = 0
    """All steps that are done."""
    history_bytes: int = 0
    """The length of history.jsonl."""
    validated: int = 0
    """How many of all steps were done at the last validation."""
    worse: int = 0
    """Validations since the best one."""
    best: dict[str, Any] = field(default_factory=lambda: {"best_epoch": 0})
    """What result.json would say of the best epoch so far."""


class Checkpoints:
    """Those of one run.

    Args:
        folder: where they are.
        variables: all that a step reads and changes, in an order that is the same in every process.
    """

    def __init__(self, folder: Path, variables: Sequence[Any]) -> None:
        self._folder = folder
        self._variables = variables

    def save(self, progress: Progress) -> None:
        """Write one and delete all but the newest KEPT.

        Raises:
            MailError: it cannot be written, because the disk is full for example; the older ones are whole.
        """
        path = self._folder / f"step-{progress.steps}.npz"
        text = np.frombuffer(json.dumps(asdict(progress)).encode(), np.uint8)
        try:
            _save(path, self._variables, {_PROGRESS: text})
        except OSError as error:
            raise MailError(
                f"{path}: cannot be written ({error.strerror or error}). {self.told()} Free some space and give the "
                f"same command again."
            ) from error
        for older in self._all()[KEPT:]:
            older.unlink()

    def restore(self, history_bytes: int, steps_of_epoch: int) -> Progress | None:
        """Set the variables to the newest whole one, and tell of damaged ones that are left out; None without any.

        Args:
            history_bytes: the length of history.jsonl; one that knows of more does not belong to it.
            steps_of_epoch: one that tells of more steps in its epoch does not belong to the run.
        """
        for path in self._all():
            try:
                progress = _check(path, self._variables)
                if progress.history_bytes > history_bytes:
                    raise ValueError("history.jsonl is shorter than it tells")
                if progress.step > steps_of_epoch:
                    raise ValueError(f"it is at step {progress.step} of an epoch of {steps_of_epoch}")
            except _DAMAGES as error:
                logger.warning(f"{path}: is damaged and left out ({error}).")
                continue
            with np.load(path, allow_pickle=False) as file:
                for place, variable in enumerate(self._variables):
                    variable.assign(file[str(place)])
            return progress
        return None

    def clear(self) -> None:
        """Delete them, because the run is finished."""
        for path in self._all():
            path.unlink()

    def told(self) -> str:
        """One sentence on the newest one."""
        found = self._all()
        return f"The last good checkpoint is {found[0]}." if found else "There is no checkpoint yet."

    def _all(self) -> list[Path]:
        """The newest first."""
        found = {int(match[1]): path for path in self._folder.glob("*") if (match := _NAME.fullmatch(path.name))}
        return [found[steps] for steps in sorted(found, reverse=True)]


def save_variables(path: Path, variables: Sequence[Any]) -> None:
    """Write variables whole or not at all; `read_variables` reads them."""
    _save(path, variables, {})


def read_variables(path: Path) -> list[Callable[[], NDArray]]:
    """What reads each of the variables that `save_variables` wrote, one at a time for their size.

    Raises:
        MailError: the file is not whole; when it is called, too.
    """

    def read(place: int) -> NDArray:
        try:
            with np.load(path, allow_pickle=False) as file:
                found: NDArray = file[str(place)]
        except _DAMAGES as error:
            raise MailError(f"{path}: is damaged ({error}). Train the run again in another --runs folder.") from error
        return found

    try:
        _check_stored(path)
        with zipfile.ZipFile(path) as archive:
            count = len(archive.namelist())
    except _DAMAGES as error:
        raise MailError(f"{path}: is damaged ({error}). Train the run again in another --runs folder.") from error
    return [partial(read, place) for place in range(count)]


def _save(path: Path, variables: Sequence[Any], first: dict[str, NDArray]) -> None:
    with write_atomically(path) as other, zipfile.ZipFile(other, "w", allowZip64=True) as archive:
        for name, array in first.items():
            _write(archive, name, array)
        # One after another: a copy of the whole table at once would be as much memory again.
        for place, variable in enumerate(variables):
            _write(archive, str(place), np.asarray(variable))


def _write(archive: zipfile.ZipFile, name: str, array: NDArray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _check(path: Path, variables: Sequence[Any]) -> Progress:
    """Where the run stands; one of _DAMAGES when the file is not whole or not of these variables."""
    _check_stored(path)
    with np.load(path, allow_pickle=False) as file:
        progress = Progress(**json.loads(file[_PROGRESS].tobytes().decode()))
        best = progress.best["best_epoch"]
        numbers = [value for value in asdict(progress).values() if not isinstance(value, dict)] + [best]
        if any(type(number) is not int or number < 0 for number in numbers) or not progress.epoch >= max(best, 1):
            raise ValueError("it does not tell where the run stands")
        if best and not 0 <= progress.best["validation"]["all"]["AUC"] <= 1:
            raise ValueError("it does not tell of the best epoch")
        # Reading an array to its end checks its CRC-32; one at a time, for their size.
        found = [_kind(file[str(place)]) for place in range(len(file.files) - 1)]
    if found != [_kind(variable) for variable in variables]:
        raise ValueError("it holds other variables than the run has")
    return progress


def _check_stored(path: Path) -> None:
    """ValueError for what is no plain file, or is compressed: then nothing in it can be larger than it is."""
    if not path.is_file():
        raise ValueError("it is not a file")
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in archive.infolist()):
            raise ValueError("it is compressed or encrypted")


def _kind(array: Any) -> tuple[tuple[int, ...], str]:
    return tuple(array.shape), str(array.dtype)


def check_space(folder: Path, variables: Iterable[Any]) -> None:
    """Refuse to begin where the checkpoints and the best epoch's variables would not fit (MailError).

    Of both there is one more while it is being written.
    """
    # Four bytes a number: what is not float32 is small.
    needed = (KEPT + 3) * sum(4 * int(np.prod(variable.shape)) for variable in variables)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MailError(
            f"{folder}: {free / 1e6:,.0f} MB are free, and the checkpoints of this run may need "
            f"{needed / 1e6:,.0f} MB. Free some space, or choose another --runs folder."
        )
