"""Settings searched on the validation split by Optuna: `mail tune`. The test split is not read.

<runs>/tune/<name>/
    study.log          Optuna's journal: every trial, its settings and value; a search that was stopped goes on from it
    trials.csv         the same as a table
    <key=value,...>/   the run of each trial
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.experiments.cells import Folders
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import find_run
from mailcli.utils.files import write_atomically
from mailcli.utils.tensorflow_startup import load_tensorflow

logger = logging.getLogger(__name__)


_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
#: Whose AUC may be the goal.
USERS = ("all", "new", "old")


class Range(NamedTuple):
    """What one setting may be."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool
    choices: tuple[str, ...]
    """The texts to choose from; empty for a range of numbers."""


def parse_ranges(texts: Sequence[str]) -> list[Range]:
    """`KEY=LOW..HIGH`, `KEY=log:LOW..HIGH` or `KEY=A|B|C`.

    Raises:
        MailError: one is none of these, or a key is named twice.
    """
    if not texts:
        raise MailError("nothing to search: name one setting or more with --range, e.g. learning_rate=log:1e-4..1e-2.")
    found = [_parse(text) for text in texts]
    keys = [each.key for each in found]
    for key in keys:
        if keys.count(key) > 1:
            raise MailError(f"--range {key}: is named twice.")
    return found


def _parse(text: str) -> Range:
    wrong = MailError(f"--range {text}: expected KEY=LOW..HIGH, KEY=log:LOW..HIGH or KEY=A|B|C.")
    key, _, values = text.partition("=")
    if not key.strip() or not values.strip():
        raise wrong
    if "|" in values:
        return Range(key.strip(), 0, 0, False, False, tuple(value.strip() for value in values.split("|")))
    low, dots, high = values.removeprefix("log:").partition("..")
    log = values.startswith("log:")
    try:
        numbers = float(low), float(high)
    except ValueError:
        raise wrong from None
    if not dots or not numbers[0] < numbers[1] or (log and numbers[0] <= 0):
        raise wrong
    integers = low.strip().lstrip("-").isdecimal() and high.strip().lstrip("-").isdecimal()
    return Range(key.strip(), *numbers, log, integers, ())


@dataclass(frozen=True)
class Search:
    """A search: what is varied around a config, and what counts."""

    name: str
    config: RunConfig
    ranges: Sequence[Range]
    users: str
    """Whose validation AUC is to be largest."""

    def check(self) -> None:
        """Refuse what no trial could be made of (MailError)."""
        if not _NAME.fullmatch(self.name):
            raise MailError(f"--name {self.name!r}: expected letters, digits, '.', '_' or '-'.")
        if self.users not in USERS:
            raise MailError(
                f"--users {self.users}: no such group.{did_you_mean(self.users, USERS)} Known: {quoted(USERS)}."
            )
        for pick in (0, -1):
            self.trial({each.key: each.choices[pick] if each.choices else _end(each, pick) for each in self.ranges})

    def trial(self, values: dict[str, Any]) -> RunConfig:
        """The config of a trial."""
        return make_config([vars(self.config), values])


def _end(each: Range, pick: int) -> Any:
    value = (each.low, each.high)[pick]
    return int(value) if each.whole else value


def search(wanted: Search, trials: int, dataset: Dataset, runs: Path, minutes: float | None) -> list[dict[str, Any]]:
    """Search until there are so many trials; those of an earlier search of that name count.

    Returns:
        A record for each trial, the best first: its number `trial`, its `value` and its settings.

    Raises:
        MailError: the study of that name was of something else, or a trial cannot be made.
        Interrupted: by Ctrl-C; the same command goes on.
    """
    wanted.check()
    optuna = _optuna()
    folder = runs / "tune" / wanted.name
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(optuna, folder, wanted)
    done = len(_records(study))
    if done:
        logger.info(f"{folder}: {done} of {trials} trials are done.")
    _ask_again(optuna, study)
    for number in range(done, trials):
        # A sampler for each trial, so that a search that was stopped tries what it would have tried.
        study.sampler = optuna.samplers.TPESampler(seed=wanted.config.seed + number)
        trial = study.ask(_distributions(optuna, wanted.ranges))
        run, best = _made(wanted.trial(trial.params), dataset, Folders(folder, wanted.config), minutes)
        study.tell(trial, best["validation"][wanted.users]["AUC"])
        for checkpoint in run.checkpoints.glob("step-*.npz"):
            checkpoint.unlink()
        # Nobody goes on with a trial.
        run.optimizers.unlink(missing_ok=True)
        records = _records(study)
        _write_table(folder / "trials.csv", records)
        told = next(_told(record) for record in records if record["trial"] == trial.number)
        logger.info(f"trial {number + 1} of {trials}: {told}")
    return _records(study)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MailError("`mail tune` needs Optuna. Install it with: pip install 'mail[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna: Any, folder: Path, wanted: Search) -> Any:
    """The study on the disk, or a new one; it keeps what it is of (MailError if that is something else)."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(folder / "study.log")))
    study = optuna.create_study(
        storage=storage, study_name=wanted.name, direction="maximize", load_if_exists=True, sampler=None
    )
    of = {
        "config": repr(wanted.config),
        "ranges": repr(sorted(wanted.ranges)),
        "users": wanted.users,
    }
    for key, value in of.items():
        known = study.user_attrs.get(key)
        if known is None:
            study.set_user_attr(key, value)
        elif known != value:
            raise MailError(
                f"{folder}: holds a search with other {key} ({known:.80} -> {value:.80}). Choose another --name, or "
                "delete the folder."
            )
    return study


def _distributions(optuna: Any, ranges: Sequence[Range]) -> dict[str, Any]:
    d = optuna.distributions
    return {
        each.key: d.CategoricalDistribution(each.choices)
        if each.choices
        else d.IntDistribution(int(each.low), int(each.high), log=each.log)
        if each.whole
        else d.FloatDistribution(each.low, each.high, log=each.log)
        for each in ranges
    }


def _ask_again(optuna: Any, study: Any) -> None:
    """What was being tried when the search was stopped is tried next: its run goes on from its checkpoint."""
    for stopped in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(stopped.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(stopped.params)


def _made(config: RunConfig, dataset: Dataset, folders: Folders, minutes: float | None) -> tuple[Run, dict[str, Any]]:
    """A trial's run and its best epoch; trained as `mail train` does, but for the test."""
    load_tensorflow()
    from mailcli.models.factory import is_two_stage
    from mailcli.training.train import CHECKPOINT_MINUTES, train_for_validation

    run = find_run(folders.of(config), config, dataset)
    baseline = None
    if is_two_stage(config):
        baseline = find_run(folders.of(config.baseline()), config.baseline(), dataset)
        if not baseline.weights.is_file():
            _made(config.baseline(), dataset, folders, minutes)
    return run, train_for_validation(run, dataset, baseline, CHECKPOINT_MINUTES if minutes is None else minutes)


def _records(study: Any) -> list[dict[str, Any]]:
    """Trials that are done, the best first."""
    done = [each for each in study.trials if each.value is not None]
    done.sort(key=lambda each: (-each.value, each.number))
    return [{"trial": each.number, "value": each.value, **each.params} for each in done]


def _told(record: dict[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in record.items() if key not in {"trial", "value"})
    return f"validation AUC {record['value']:.4f} with {settings}"


def _write_table(path: Path, records: Sequence[dict[str, Any]]) -> None:
    with write_atomically(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, records[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
