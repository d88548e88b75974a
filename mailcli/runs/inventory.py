"""Which runs a folder holds, finished or not: what `mail runs` lists, and deletes."""

from __future__ import annotations

import json
import os
import time
from calendar import timegm
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailcli.config import RunConfig
from mailcli.errors import MailError
from mailcli.runs.checkpoints import is_trained, newest_state
from mailcli.runs.environment import TIME_FORMAT
from mailcli.runs.folder import CONFIG, ENVIRONMENT, HISTORY, IN_TRAINING, RESULT, RunFolder, lock_of
from mailcli.runs.history import VALIDATED_STEP
from mailcli.runs.opening import open_run, read_config
from mailcli.runs.registry import check_run_folder
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.runs.run_folders import check_is_run, run_folders
from mailcli.utils.files import delete_folder, size_and_time

#: What a run can be. `stopped`: by Ctrl-C, a kill or a full disk. `untested`: a trial of `mail tune`, which does not
#: read the test split.
FINISHED, RUNNING, STOPPED, UNTESTED, DAMAGED = "finished", "running", "stopped", "untested", "damaged"
#: Bytes at the end of history.jsonl that hold its last line (ours: a validation of four groups has 2 kB).
_TAIL = 1 << 16


@dataclass(frozen=True)
class ListedRun:
    """A run in any state."""

    folder: Path
    status: str
    config: RunConfig | None
    """None if config.toml cannot be read."""
    bytes: int
    """Of all its files."""
    changed: float
    """When it was finished or, if it is not, last written: seconds since 1970."""
    result: dict[str, Any] | None = None
    """Of a finished run."""
    epoch: int | None = None
    """Of a run that is not finished: the epoch that it has come to; None before the first checkpoint."""
    step: int | None = None
    """The same, in steps of all epochs."""
    damage: str = ""
    """What is wrong with it, and how to fix it."""

    @property
    def progress(self) -> str:
        """`epoch 3, step 120` of an unfinished run."""
        return f"epoch {self.epoch}, step {self.step}" if self.epoch else "no checkpoint yet"


def list_runs(runs: Path) -> list[ListedRun]:
    """All runs below a folder, by path and seed (MailError if there are none)."""
    folders = run_folders(runs)
    if not folders:
        raise MailError(f"{runs}: holds no run. Make one with `mail train`, or name another folder with --runs.")
    return inspect_all(folders)


def inspect_all(folders: Sequence[Path]) -> list[ListedRun]:
    """What has become of several runs; one that is deleted meanwhile is left out."""
    runs = []
    for folder in folders:
        try:
            runs.append(inspect_run(folder))
        except (MailError, FileNotFoundError):
            if folder.exists():
                raise
    return runs


def inspect_run(folder: Path) -> ListedRun:
    """What has become of the run in a folder, whose small files are checked if it is finished.

    Raises:
        MailError: the folder does not exist or holds no run.
    """
    check_is_run(folder)
    size, written = size_and_time(folder)
    config: RunConfig | None = None
    try:
        config = read_config(folder / CONFIG)
        if (folder / RESULT).exists():
            run = open_run(folder)
            return ListedRun(folder, FINISHED, config, size, _finish_time(run, written), run.result)
        status, epoch, step = _unfinished(RunFolder(folder, config))
    except MailError as error:
        return ListedRun(folder, DAMAGED, config, size, written, damage=error.message)
    return ListedRun(folder, status, config, size, written, epoch=epoch, step=step)


def _unfinished(run: RunFolder) -> tuple[str, int | None, int | None]:
    """The status of an unfinished run, and the epoch and step to which it has come."""
    if lock_of(run.folder).is_held():
        return RUNNING, *_last_step(run.folder / HISTORY)
    state = newest_state(run.checkpoints)
    if state:
        return STOPPED, state.epoch, state.steps
    return UNTESTED if is_trained(run) else STOPPED, None, None


def check_deletable(folder: Path) -> None:
    """Refuse to delete what is not a run, or holds anything else, or is being trained (MailError)."""
    check_is_run(folder)
    check_run_folder(folder, remedy="Move what is not mail's away first.")
    if lock_of(folder).is_held():
        raise MailError(f"{folder}: {IN_TRAINING} Stop it first, or wait for it.")


def delete_run(run: ListedRun) -> None:
    """Delete a run for which `check_deletable` has passed, and the folders above it that it leaves empty.

    Raises:
        MailError: it is being trained by now.
    """
    with lock_of(run.folder):
        delete_folder(run.folder)
    above = run.folder.absolute()
    if run.config and above.parts[-len(run.config.run_path.parts) :] == run.config.run_path.parts:
        with suppress(OSError):
            # Those of the cell, the protocol and the dataset; the first one that is not empty stops the loop.
            for _ in run.config.run_path.parts[1:]:
                above = above.parent
                above.rmdir()


def _finish_time(run: RunFolder, written: float) -> float:
    """When a run was finished, by environment.json: copies of its files are younger. An older version's may lack it."""
    finished = run.environment.get("finished")
    try:
        return written if finished is None else float(timegm(time.strptime(str(finished), TIME_FORMAT)))
    except ValueError as error:
        raise MailError(f"{run.folder / ENVIRONMENT}: is damaged ({error}). {TRAIN_AGAIN}") from error


def _last_step(path: Path) -> tuple[int | None, int | None]:
    """The epoch and step of the last whole line of history.jsonl; None if there is none yet (MailError: damaged)."""
    if not path.is_file():
        return None, None
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        lines = file.read().rpartition(b"\n")[0].splitlines()
    try:
        line = dict(json.loads(lines[-1])) if lines else {}
    except (ValueError, TypeError) as error:
        raise MailError(f"{path}: its last line is damaged ({error}). Stop the run, and delete the folder.") from error
    return line.get("epoch"), line.get("step", line.get(VALIDATED_STEP))
