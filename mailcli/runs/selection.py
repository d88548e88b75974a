"""The runs that a command reads: those that are named, and those below folders, without stale ones for scoring."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from mailcli.data.dataset import dataset_names, open_dataset
from mailcli.errors import MailError
from mailcli.plugins import is_trivial
from mailcli.runs.folder import CONFIG, RESULT, RunFolder
from mailcli.runs.opening import open_run
from mailcli.runs.origin import check_unchanged
from mailcli.runs.run_folders import run_folders

logger = logging.getLogger(__name__)

_Candidate = TypeVar("_Candidate")
_Usable = TypeVar("_Usable")


def finished_runs(folder: Path) -> list[RunFolder]:
    """All finished runs below a folder, sorted by path; a damaged one is skipped with a warning.

    Raises:
        MailError: there are none, or all are damaged; the reason is that of the first run.
    """
    folders = run_folders(folder, [RESULT])
    if not folders:
        raise MailError(f"{folder}: holds no finished run. Make one with `mail train`.")
    return keep_usable(folders, open_run)


def ranker_runs(folder: Path) -> list[RunFolder]:
    """`finished_runs` without those of trivial rows, which have neither losses nor weights to draw or audit.

    Raises:
        MailError: there are no others.
    """
    runs = [run for run in finished_runs(folder) if not is_trivial(run.config.ranker)]
    if not runs:
        raise MailError(f"{folder}: holds only runs of trivial rows. Expected one of a ranker.")
    return runs


def runs_in(folder: Path, below: Callable[[Path], list[RunFolder]] = finished_runs) -> list[RunFolder]:
    """A run, or the finished runs below a folder (MailError: there are none, or no such folder).

    Args:
        folder: of the run, or of the runs.
        below: finds those below a folder.
    """
    return below(folder) if folder.is_dir() and not (folder / CONFIG).is_file() else [open_run(folder)]


def keep_usable(candidates: Iterable[_Candidate], check: Callable[[_Candidate], _Usable]) -> list[_Usable]:
    """What a check makes of runs; it raises MailError for those that do not pass, and a warning names each of these.

    Raises:
        MailError: none passes; the reason is that of the first.
    """
    usable: list[_Usable] = []
    reasons: list[MailError] = []
    warnings: list[str] = []
    for candidate in candidates:
        try:
            usable.append(check(candidate))
        except MailError as error:
            reasons.append(error)
            folder = str(getattr(candidate, "folder", candidate))
            # It may be about something else, such as the run's dataset.
            warnings.append(error.message if folder in error.message else f"{folder}: {error.message}")
    if reasons and not usable:
        raise reasons[0]
    for warning in warnings:
        logger.warning(f"Skipped: {warning}")
    return usable


def runs_to_score(folders: Sequence[Path], runs: Path, data_dir: Path) -> list[RunFolder]:
    """The finished runs in or below some folders, or in `runs` where none is given.

    A run that is named by itself is checked when it is scored.

    Raises:
        MailError: a run is not finished, or a folder holds none that can be scored.
    """
    if not folders:
        return _up_to_date(runs, data_dir)
    return [run for folder in folders for run in runs_in(folder, lambda path: _up_to_date(path, data_dir))]


def _up_to_date(folder: Path, data_dir: Path) -> list[RunFolder]:
    """The whole finished runs whose dataset and code are those of their training; a warning names each of the others.

    Raises:
        MailError: there is none; the reason is that of the first run.
    """
    known = dataset_names(data_dir)

    def check(run: RunFolder) -> RunFolder:
        check_unchanged(run, open_dataset(data_dir, run.config.data))
        if not is_trivial(run.config.ranker):  # it has no weights
            run.check_weights()
        return run

    with_dataset = []
    for run in finished_runs(folder):
        if run.config.data in known:
            with_dataset.append(run)
        else:
            logger.warning(f"{run.folder}: skipped, since {data_dir} has no dataset '{run.config.data}'.")
    if not with_dataset:
        raise MailError(
            f"{data_dir}: has none of the datasets of the runs in {folder}. Make one with `mail preprocess`."
        )
    return keep_usable(with_dataset, check)
