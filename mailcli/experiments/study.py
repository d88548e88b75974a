"""Optuna's study of a search on disk: its journal, opened and checked, and its trials.

A trial that diverged counts towards the budget, and is not tried again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mailcli.errors import DivergedError, MailError, shorten
from mailcli.utils.tensorflow_startup import load_tensorflow

logger = logging.getLogger(__name__)

#: The journal, in the folder of a search.
STUDY = "study.log"
#: Marks a trial that did not end with a validation.
_DIVERGED = "diverged"
#: Characters of a mark that an error shows, and of those before the first difference (ours).
_SHOWN, _CONTEXT = 80, 40


def check_optuna() -> None:
    """Refuse to search without Optuna (MailError); it is not imported, since it imports TensorFlow."""
    if find_spec("optuna") is None:
        raise MailError("`mail tune` needs Optuna. Install it with `pip install -c constraints.txt -e '.[tune]'`.")


def load_optuna() -> Any:
    """The module, without its own messages (MailError if it is not installed)."""
    check_optuna()
    # Optuna imports it, and its start would fill the terminal with messages.
    load_tensorflow()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path, name: str, marks: Mapping[str, str], folder_option: str) -> Any:
    """The study in a folder, or a new one.

    Args:
        folder: of the search; no other process uses it.
        name: of the study.
        marks: what the search is, by name; a new study is marked with it.
        folder_option: the option that gives another search a folder of its own, for an error.

    Raises:
        MailError: the journal is damaged, or is that of another search, or does not say of which.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = folder / STUDY
    _check_journal(path, folder_option)
    # The lock of a killed process, for which Optuna would wait: the caller holds one of ours.
    path.with_name(f"{STUDY}.lock").unlink(missing_ok=True)
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True, sampler=None
        )
        attributes, trials = study.user_attrs, records(study)
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, optuna.exceptions.OptunaError) as error:
        raise _damaged(path, folder_option, f"Optuna: {type(error).__name__} {error}") from error
    for trial in trials:
        if not 0 <= trial["value"] <= 1:
            raise _damaged(path, folder_option, f"trial {trial['trial']} has an AUC of {trial['value']}")
    _check_marks(study, folder, marks, attributes, folder_option)
    return study


def _check_marks(
    study: Any, folder: Path, marks: Mapping[str, str], attributes: Mapping[str, Any], folder_option: str
) -> None:
    """Refuse a study that is not of this search; mark a new one (arguments and MailError as `open_study`)."""
    trials = len(study.trials)
    for key, value in marks.items():
        known = attributes.get(key)
        if known is not None and not isinstance(known, str):
            raise _damaged(folder / STUDY, folder_option, f"its {key} is {known!r:.80}; expected a string")
        if known is None and trials:
            raise MailError(
                f"{folder}: holds a search of an earlier version of mail, without a note of its {key}, so that its "
                f"trials may differ in it. Choose another {folder_option}, or delete the folder."
            )
        if known is None:
            study.set_user_attr(key, value)
        elif known != value:
            raise MailError(
                f"{folder}: holds a search with other {key} ({_difference(known, value)}). Choose another "
                f"{folder_option}, or delete the folder."
            )


def _difference(known: str, value: str) -> str:
    """`known -> value`; of long texts a part with the first difference."""
    pairs = enumerate(zip(known, value, strict=False))
    first = next((place for place, (old, new) in pairs if old != new), min(len(known), len(value)))
    start = max(0, first - _CONTEXT) if max(len(known), len(value)) > _SHOWN else 0
    return " -> ".join(f"{'...' if start else ''}{text[start : start + _SHOWN]}" for text in (known, value))


def _check_journal(path: Path, folder_option: str) -> None:
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
            raise _damaged(path, folder_option, f"line {number} is {text}; expected a JSON object")


def _damaged(path: Path, folder_option: str, reason: str) -> MailError:
    return MailError(
        f"{path}: is damaged ({reason}). Delete the folder {path.parent} and search again, or choose another "
        f"{folder_option}."
    )


def trials_done(study: Any) -> int:
    """How many trials count towards the budget: those with a validation, and those that diverged."""
    return len(_counted(study))


def _counted(study: Any) -> list[Any]:
    return [trial for trial in study.trials if trial.value is not None or _DIVERGED in trial.user_attrs]


def tell_diverged(study: Any, trial: Any) -> None:
    """End a trial that has no validation."""
    import optuna

    trial.set_user_attr(_DIVERGED, True)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def value_of(study: Any, settings: Mapping[str, Any]) -> float | None:
    """The value of an earlier trial with these settings; None if there is none.

    Raises:
        DivergedError: that trial diverged.
    """
    for trial in _counted(study):
        if trial.params == settings:
            if trial.value is None:
                raise DivergedError("diverged before with the same settings.")
            return float(trial.value)
    return None


def requeue_interrupted(study: Any) -> None:
    """Try next what was being tried when the search was interrupted: its run resumes from its checkpoint."""
    import optuna

    for interrupted in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(interrupted.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(interrupted.params)


def records(study: Any, budget: int | None = None) -> list[dict[str, Any]]:
    """A record for each trial with a validation, the best first: its number `trial`, its `value` and its settings.

    Args:
        study: of a search.
        budget: only the first so many of the trials that count towards it; None for all.
    """
    # Interrupted trials have numbers of Optuna's, too, but do not count.
    counted = enumerate(_counted(study)[:budget], start=1)
    finished = [
        {"trial": number, "value": trial.value, **trial.params} for number, trial in counted if trial.value is not None
    ]
    return sorted(finished, key=lambda record: (-record["value"], record["trial"]))


def settings_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a trial, without its number and value."""
    return {key: value for key, value in record.items() if key not in {"trial", "value"}}
