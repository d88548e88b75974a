"""Settings searched on the validation split by Optuna: `mail tune`. The test split is not read.

<runs>/tune/<name>/, or <runs>/tune/<plan>/<cell>/ for a row of an experiment
    study.log          Optuna's journal: the settings and value of every trial; an interrupted search resumes from it
    trials.csv         the same as a table
    <key=value,...>/   the run of each trial
"""

from __future__ import annotations

import csv
import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailcli.config import RunConfig, option_text
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import DivergedError, MailError, did_you_mean, quoted, shorten
from mailcli.escape import csv_cell
from mailcli.experiments.cells import RunFolders, resolve_config
from mailcli.experiments.search_space import Range, distribution, is_number, option_owner, same_value
from mailcli.training.evaluate import check_selectable
from mailcli.training.option_defaults import option_defaults
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import find_run
from mailcli.utils.files import FolderLock, replace_file
from mailcli.utils.system_errors import name_in_write_errors
from mailcli.utils.tensorflow_startup import load_tensorflow

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_STUDY = "study.log"
#: Marks a trial that did not end with a validation.
_DIVERGED = "diverged"
DEFAULT_TRIALS = 20
#: The groups of users whose AUC can be maximized.
USERS = ("all", "new", "old")


@dataclass(frozen=True)
class Search:
    """A search: which settings of a config are varied, and which metric is maximized."""

    name: str
    """Of its study."""
    config: RunConfig
    ranges: Sequence[Range]
    users: str
    """The group of users whose validation AUC is maximized."""
    plan: str = ""
    """Name of the experiment whose row this is; empty for a search of its own."""

    @property
    def folder(self) -> Path:
        """Relative to the folder of runs."""
        return Path("tune", self.plan, self.name)

    @property
    def elsewhere(self) -> str:
        """What to change for a folder of its own: the rows of an experiment have the names of their cells."""
        return "--runs folder" if self.plan else "--name"

    def check(self) -> None:
        """Refuse a search with impossible trials (MailError)."""
        if not self.plan and not _NAME.fullmatch(self.name):
            raise MailError(f"--name {self.name!r}: expected letters, digits, '.', '_' or '-'.")
        if self.users not in USERS:
            raise MailError(
                f"--users {self.users}: no such group.{did_you_mean(self.users, USERS)} Known: {quoted(USERS)}."
            )
        self.trial({setting.key: setting.first for setting in self.ranges})
        self.trial({setting.key: setting.last for setting in self.ranges})

    def trial(self, values: Mapping[str, Any]) -> RunConfig:
        """The config of a trial."""
        return resolve_config([vars(self.config), dict(values)])


def run_search(
    search: Search, trials: int, dataset: Dataset, runs: Path, minutes: float | None
) -> list[dict[str, Any]]:
    """Search until there are `trials` trials, counting those of an earlier search of that name.

    Returns:
        A record for each trial, the best first: its number `trial`, its `value` and its settings.

    Raises:
        MailError: the study of that name is of another search, or a trial cannot be made.
        Interrupted: by Ctrl-C; run the same command to resume.
    """
    search.check()
    optuna = _optuna()
    folder = runs / search.folder
    busy = (
        f"{folder}: another `mail tune` of this name is searching. Wait for it, or choose another {search.elsewhere}."
    )
    # Optuna's errors of writing its journal do not name it.
    with FolderLock(folder, busy), name_in_write_errors(folder / _STUDY):
        folder.mkdir(exist_ok=True)
        return _search_on(optuna, search, trials, dataset, folder, minutes)


def _search_on(
    optuna: Any, search: Search, trials: int, dataset: Dataset, folder: Path, minutes: float | None
) -> list[dict[str, Any]]:
    """Go on with the search in a folder that no other process uses."""
    study = _open_study(optuna, folder, search)
    done = len(_records(study)) + sum(_DIVERGED in trial.user_attrs for trial in study.trials)
    if done:
        logger.info(f"{folder}: {done} of {trials} trials are done.")
    _requeue_interrupted(optuna, study)
    if done < trials:
        check_selectable(dataset, views(dataset, search.config)["validation"], search.users, "--users")
    if search.plan and not study.trials:
        _enqueue_own_settings(search, study)
    for number in range(done, trials):
        # One sampler per trial, so that a resumed search tries what an uninterrupted one would have tried.
        study.sampler = optuna.samplers.TPESampler(seed=search.config.seed + number)
        trial = study.ask({setting.key: distribution(optuna, setting) for setting in search.ranges})
        row = f"{search.config.cell}, " if search.plan else ""
        try:
            run, best = _train(search.trial(trial.params), dataset, RunFolders(folder, search.config), minutes)
        except DivergedError as error:
            # It counts towards the budget, and is not tried again.
            trial.set_user_attr(_DIVERGED, True)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            logger.warning(f"{row}trial {number + 1} of {trials}: {error.message}")
            continue
        study.tell(trial, best["validation"][search.users]["AUC"])
        _discard_checkpoints(run)
        records = _records(study)
        _write_table(folder / "trials.csv", records)
        (record,) = (record for record in records if record["trial"] == trial.number)
        logger.info(f"{row}trial {number + 1} of {trials}: {_summary(record)}")
    records = _records(study)
    if not records:
        raise MailError(
            f"{folder}: training has diverged in all {trials} trials. Search lower values of learning_rate."
        )
    return records


def _enqueue_own_settings(search: Search, study: Any) -> None:
    """Try the settings of the experiment's file first: tuning cannot make a row worse on the validation split."""
    own = own_values(search)
    if own is None:
        logger.info(f"{search.config.cell}: the file's own settings lie outside the ranges, so no trial has them.")
    else:
        study.enqueue_trial(own)


def own_values(search: Search) -> dict[str, Any] | None:
    """The values that the search's own config has in the ranges; None if one of them lies outside."""
    values = {setting.key: _own_value(search.config, setting) for setting in search.ranges}
    return None if None in values.values() else values


def _own_value(config: RunConfig, setting: Range) -> Any:
    """The choice or number that a config has of a setting, whose option may have its default; None if out of range."""
    owner = option_owner(config, setting.key)
    if owner:
        text = option_text({**option_defaults(owner.kind, owner.name), **owner.given}.get(owner.option, ""))
    else:
        text = option_text(vars(config)[setting.key])
    if setting.choices:
        return next((choice for choice in setting.choices if same_value(choice, text)), None)
    number = float(text) if is_number(text) else math.nan
    if not setting.low <= number <= setting.high or (setting.whole and not number.is_integer()):
        return None
    return int(number) if setting.whole else number


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MailError("`mail tune` needs Optuna. Install it with: pip install 'mail[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _open_study(optuna: Any, folder: Path, search: Search) -> Any:
    """The study on disk, or a new one, marked with its search (MailError if it is damaged or of another search)."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = folder / _STUDY
    _check_journal(path, search)
    # The lock of a killed process, for which Optuna would wait: `run_search` holds one of ours.
    path.with_name(f"{_STUDY}.lock").unlink(missing_ok=True)
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(
            storage=storage, study_name=search.name, direction="maximize", load_if_exists=True, sampler=None
        )
        attributes, _ = study.user_attrs, _records(study)
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, optuna.exceptions.OptunaError) as error:
        raise _damaged(path, search, f"Optuna: {type(error).__name__} {error}") from error
    expected = {"config": repr(search.config), "ranges": repr(sorted(search.ranges)), "users": search.users}
    for key, value in expected.items():
        known = attributes.get(key)
        if known is not None and not isinstance(known, str):
            raise _damaged(path, search, f"its {key} is {known!r:.80}; expected a text")
        if known is None:
            study.set_user_attr(key, value)
        elif known != value:
            raise MailError(
                f"{folder}: holds a search with other {key} ({known:.80} -> {value:.80}). Choose another "
                f"{search.elsewhere}, or delete the folder."
            )
    return study


def _check_journal(path: Path, search: Search) -> None:
    """Drop the line that a kill or a full disk left unfinished; refuse any other damage (MailError)."""
    if not path.exists():
        return
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        cut = len(lines.pop())
        logger.warning(f"{path}: line {len(lines) + 1} is cut off; dropping it.")
        with open(path, "r+b") as file:
            file.truncate(len(content) - cut)
    for number, line in enumerate(lines, start=1):
        try:
            is_valid = isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_valid = False
        if not is_valid:
            text = shorten(line.decode(errors="replace"))
            raise _damaged(path, search, f"line {number} is {text}; expected a JSON object")


def _damaged(path: Path, search: Search, reason: str) -> MailError:
    return MailError(
        f"{path}: is damaged ({reason}). Delete the folder {path.parent} and search again, or choose another "
        f"{search.elsewhere}."
    )


def _requeue_interrupted(optuna: Any, study: Any) -> None:
    """Try next what was being tried when the search was interrupted: its run resumes from its checkpoint."""
    for interrupted in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(interrupted.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(interrupted.params)


def _train(
    config: RunConfig, dataset: Dataset, folders: RunFolders, minutes: float | None
) -> tuple[Run, dict[str, Any]]:
    """A trial's run and its best epoch; trained as by `mail train`, but not tested."""
    load_tensorflow()
    from mailcli.models.factory import is_two_stage
    from mailcli.training.train import CHECKPOINT_MINUTES, train_for_validation

    run = _find_run(config, dataset, folders)
    baseline = None
    if is_two_stage(config):
        baseline = _find_run(config.baseline(), dataset, folders)
        if not _is_trained(baseline):
            _train(config.baseline(), dataset, folders, minutes)
            _discard_checkpoints(baseline)
    return run, train_for_validation(run, dataset, baseline, CHECKPOINT_MINUTES if minutes is None else minutes)


def _find_run(config: RunConfig, dataset: Dataset, folders: RunFolders) -> Run:
    """The run of a trial; a search of other settings has a folder of its own."""
    otherwise = "Choose another --runs folder, or delete this one."
    return find_run(folders.of(config), config, dataset, otherwise=otherwise)


def _is_trained(run: Run) -> bool:
    """Whether the ranker of a two-stage trial has come to its end: an interrupted run has weights, and checkpoints."""
    return run.weights.is_file() and not any(run.checkpoints.glob("step-*.npz"))


def _discard_checkpoints(run: Run) -> None:
    """Delete what is needed only to resume or continue a run: nobody continues a trial."""
    for checkpoint in run.checkpoints.glob("step-*.npz"):
        checkpoint.unlink()
    run.optimizers.unlink(missing_ok=True)


def _records(study: Any) -> list[dict[str, Any]]:
    """The finished trials, the best first."""
    finished = [trial for trial in study.trials if trial.value is not None]
    finished.sort(key=lambda trial: (-trial.value, trial.number))
    return [{"trial": trial.number, "value": trial.value, **trial.params} for trial in finished]


def settings_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a trial, without its number and value."""
    return {key: value for key, value in record.items() if key not in {"trial", "value"}}


def _summary(record: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in settings_of(record).items())
    return f"validation AUC {record['value']:.4f} with {settings}"


def _write_table(path: Path, records: Sequence[dict[str, Any]]) -> None:
    with replace_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        rows = [{csv_cell(key): csv_cell(value) for key, value in record.items()} for record in records]
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
