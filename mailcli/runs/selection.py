"""The runs that a command scores again: those that are named, and those below folders, without stale ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from mailcli.data.dataset import dataset_names, open_dataset
from mailcli.errors import MailError
from mailcli.plugins import is_trivial
from mailcli.runs.folder import CONFIG, RESULT, Run
from mailcli.runs.registry import check_unchanged, finished_runs, keep_usable, open_run

logger = logging.getLogger(__name__)


def runs_to_score(folders: Sequence[Path], runs: Path, data_dir: Path) -> list[Run]:
    """The finished runs in or below some folders, or in `runs` where none is given.

    A run that is named by itself is checked when it is scored.

    Raises:
        MailError: a run is not finished, or a folder holds none that can be scored.
    """
    if not folders:
        return _up_to_date(runs, data_dir)
    chosen: list[Run] = []
    for folder in folders:
        chosen += _up_to_date(folder, data_dir) if _is_folder_of_runs(folder) else [open_run(folder)]
    return chosen


def _is_folder_of_runs(folder: Path) -> bool:
    """Whether there are runs below a folder that is not a run itself."""
    return folder.is_dir() and not (folder / CONFIG).is_file() and any(folder.rglob(f"seed-*/{RESULT}"))


def _up_to_date(folder: Path, data_dir: Path) -> list[Run]:
    """The whole finished runs whose dataset and code are those of their training; a warning names each of the others.

    Raises:
        MailError: there is none; the reason is that of the first run.
    """
    known = dataset_names(data_dir)

    def check(run: Run) -> Run:
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
