"""Settings searched on the validation split by Optuna: `mail tune`. The test split is not read.

<runs>/tune/<name>/, or <runs>/tune/<experiment>/<cell>/ for a row of an experiment
    study.log          Optuna's journal: the settings and value of every trial; an interrupted search resumes from it
    trials.csv         the same as a table
    <key=value,...>/   the runs of each trial
"""

from __future__ import annotations

import csv
import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mailcli.config import MAX_SEED, RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import DivergedError, MailError
from mailcli.escape import csv_cell
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.search import Search, own_values
from mailcli.experiments.search_space import distribution
from mailcli.experiments.study import (
    STUDY,
    load_optuna,
    open_study,
    records,
    requeue_interrupted,
    settings_of,
    tell_diverged,
    trials_done,
    value_of,
)
from mailcli.runs.checkpoints import delete_checkpoints, is_trained
from mailcli.runs.folder import RunFolder
from mailcli.runs.registry import find_run
from mailcli.training.evaluate import check_selectable
from mailcli.utils.files import delete_folder, replace_file
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.system_errors import name_in_write_errors
from mailcli.utils.tensorflow_startup import load_tensorflow

logger = logging.getLogger(__name__)


def run_search(
    search: Search, trials: int, dataset: Dataset, runs: Path, checkpoint_minutes: float | None
) -> list[dict[str, Any]]:
    """Search until there are `trials` trials, counting those of an earlier search of that name.

    If that had more trials, only its first ones count. A trial that diverged counts, too.

    Returns:
        A record for each trial with a validation, the best first: its number `trial`, its `value` and its settings.

    Raises:
        MailError: the study of that name is of another search, or a trial cannot be made.
        Interrupted: by Ctrl-C; run the same command to resume.
    """
    search.check()
    check_histories(search, dataset)
    optuna = load_optuna()
    folder = runs / search.folder
    busy = (
        f"{folder}: another `mail tune` of this name is searching. Wait for it, or choose another "
        f"{search.folder_option}."
    )
    # Optuna's errors of writing its journal do not name it.
    with FolderLock(folder, busy), name_in_write_errors(folder / STUDY):
        folder.mkdir(exist_ok=True)
        return _search_on(optuna, search, trials, dataset, folder, checkpoint_minutes)


def _search_on(
    optuna: Any, search: Search, trials: int, dataset: Dataset, folder: Path, checkpoint_minutes: float | None
) -> list[dict[str, Any]]:
    """Search, or resume a search, in a folder that no other process uses."""
    study = open_study(folder, search.name, search.marks_on(dataset), search.folder_option)
    done = trials_done(study)
    if done > trials:
        logger.info(f"{folder}: {done} trials are done, of which the first {trials} count.")
    elif done:
        logger.info(f"{folder}: {done} of {trials} trials are done.")
    requeue_interrupted(study)
    if done < trials:
        _check_users(search, dataset)
        check_end_trials(search)
    if search.experiment and not study.trials:
        _enqueue_own_settings(search, study)
    for number in range(done, trials):
        # One sampler per trial, so that a resumed search tries what an uninterrupted one would have tried.
        study.sampler = optuna.samplers.TPESampler(seed=(search.config.seed + number) % (MAX_SEED + 1))
        trial = study.ask({setting.key: distribution(optuna, setting) for setting in search.ranges})
        prefix = f"{search.config.cell}, " if search.experiment else ""
        try:
            note = _run_trial(search, study, trial, dataset, folder, checkpoint_minutes)
        except DivergedError as error:
            tell_diverged(study, trial)
            logger.warning(f"{prefix}trial {number + 1} of {trials}: {error.message}")
            continue
        finished = records(study)
        _write_table(folder / "trials.csv", finished)
        (record,) = (record for record in finished if record["trial"] == number + 1)
        logger.info(f"{prefix}trial {number + 1} of {trials}: {_summary(search, record)}{note}")
    finished = records(study, trials)
    if not finished:
        raise MailError(
            f"{folder}: training has diverged in all {trials} trials. Search lower values of learning_rate."
        )
    return finished


def _run_trial(
    search: Search, study: Any, trial: Any, dataset: Dataset, folder: Path, checkpoint_minutes: float | None
) -> str:
    """Train a trial with all seeds and tell the study its value, which is known if its settings were tried before.

    Returns:
        What to add to its line.

    Raises:
        DivergedError: it has no value.
    """
    known = value_of(study, trial.params)
    if known is not None:
        study.tell(trial, known)
        return ", as when they were tried before"
    folders = RunLayout(folder, search.config)
    trained: list[RunFolder] = []
    values: list[float] = []
    try:
        for config in search.runs_of(trial.params):
            run, best = _train(config, dataset, folders, checkpoint_minutes)
            trained.append(run)
            values.append(best["validation"][search.users]["AUC"])
    except DivergedError:
        _discard_checkpoints(trained)
        raise
    study.tell(trial, statistics.fmean(values))
    # Only now: an interrupted trial is tried again, and its finished runs are known by their checkpoints.
    _discard_checkpoints(trained)
    return ""


def check_histories(search: Search, dataset: Dataset) -> None:
    """Refuse a range with histories that are longer than the dataset's (MailError)."""
    for config in search.end_trials():
        dataset.check_history(config.history)


def check_end_trials(search: Search) -> None:
    """Refuse a range with an end that the ranker or the method refuses, before any trial is trained (MailError)."""
    load_tensorflow()
    from mailcli.models.factory import check_option_values

    for config in search.end_trials():
        check_option_values(config)


def _check_users(search: Search, dataset: Dataset) -> None:
    """Refuse a search whose trials would have no value, or select no epoch, with one of the seeds (MailError).

    Each seed draws new users of its own, who may have no clicks.
    """
    for config in search.runs_of({}):
        view = views(dataset, config)["validation"]
        try:
            check_selectable(dataset, view, search.users, "--users")
            check_selectable(dataset, view, config.select)
        except MailError as error:
            seed = f"seed {config.seed}: " if search.seeds > 1 else ""
            raise MailError(f"{seed}{error.message}") from None


def _enqueue_own_settings(search: Search, study: Any) -> None:
    """Try the settings of the experiment's file first: tuning cannot make a row worse on the validation split."""
    own = own_values(search)
    if own is None:
        logger.info(f"{search.config.cell}: the file's own settings lie outside the ranges, so no trial has them.")
    else:
        study.enqueue_trial(own)


def _train(
    config: RunConfig, dataset: Dataset, folders: RunLayout, checkpoint_minutes: float | None
) -> tuple[RunFolder, dict[str, Any]]:
    """A trial's run and its best epoch; trained as by `mail train`, but not tested."""
    load_tensorflow()
    from mailcli.models.factory import is_two_stage
    from mailcli.training.train import model_and_splits, train_for_validation

    run = _find_run(config, dataset, folders)
    baseline = None
    if is_two_stage(config):
        baseline = _find_run(config.baseline(), dataset, folders)
        if not is_trained(baseline):
            # A dataset that the method refuses is refused before hours of training.
            model_and_splits(config, dataset, baseline.folder)
            _train(config.baseline(), dataset, folders, checkpoint_minutes)
            _discard_checkpoints([baseline])
    try:
        return run, train_for_validation(run, dataset, baseline, checkpoint_minutes)
    except DivergedError:
        # Nobody resumes it.
        with run.lock():
            delete_folder(run.folder)
        raise


def _find_run(config: RunConfig, dataset: Dataset, folders: RunLayout) -> RunFolder:
    """The run of a trial; a search of other settings has a folder of its own."""
    remedy = "Choose another --runs folder, or delete this one."
    return find_run(folders.folder_for(config), config, dataset, remedy=remedy)


def _discard_checkpoints(runs: Sequence[RunFolder]) -> None:
    """Delete what is needed only to resume or continue runs: nobody continues a trial."""
    # Imports TensorFlow, which the process of a search must not do before `load_tensorflow`.
    from mailcli.training.teachers import delete_teachers

    for run in runs:
        delete_checkpoints(run.checkpoints)
        run.optimizers.unlink(missing_ok=True)
        delete_teachers(run)


def _summary(search: Search, record: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in settings_of(record).items())
    mean = f", the mean of {search.seeds} seeds," if search.seeds > 1 else ""
    return f"validation AUC {record['value']:.4f}{mean} with {settings}"


def _write_table(path: Path, trials: Sequence[dict[str, Any]]) -> None:
    with replace_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        rows = [{csv_cell(key): csv_cell(value) for key, value in record.items()} for record in trials]
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
