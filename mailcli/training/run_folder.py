"""The run folder: what a run leaves on disk, and what may be reused.

<runs>/<dataset>/<protocol>/<cell>/seed-<n>/
    config.toml        every setting, the SHA-256 of the store's dataset.json, that of a ranker's file from outside
    environment.json   versions, machine, wall time
    history.jsonl      one line per step (losses) and per epoch (validation)
    checkpoints/       best.weights.h5, the best epoch by validation AUC; step-<n>.npz until the run is finished
    predictions.npy    scores of the test impressions, in the store's order; pCTR and pCTCVR of a ranker with both
    result.json        metrics; it exists when the run is finished
                       best.optimizers.npz, both optimizers at that epoch, for `mail train --continue`
    vocabularies.npz   of a run that goes on with another: the ids of its table
    tensorboard/       event files, where they were asked for
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from mailcli import plugins
from mailcli.config import Options, RunConfig, differences, make_config, read_toml, to_toml
from mailcli.data.dataset import Store
from mailcli.data.manifest import read_json
from mailcli.data.numbering import Renumbered, load_numbering
from mailcli.errors import MailError, nearest
from mailcli.utils.files import Lock, intended, sweep, whole

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and most of what reads runs does not need it
    from mailcli.models.two_tower import TwoTower

CONFIG, ENVIRONMENT, RESULT = "config.toml", "environment.json", "result.json"
_HISTORY = "history.jsonl"
_METRICS = ("AUC", "GAUC")
#: The key of config.toml for the dataset.
_DATASET = "dataset_sha256"
#: The key of config.toml for the ids of a run that goes on with another.
NUMBERING = "vocabularies_sha256"
_VOCABULARIES = "vocabularies.npz"
_OURS = (
    *(CONFIG, RESULT, _HISTORY, _VOCABULARIES),
    *(ENVIRONMENT, "predictions.npy", "checkpoints", "tensorboard"),
)


@dataclass(frozen=True)
class Run:
    """A run's folder and settings."""

    folder: Path
    config: RunConfig
    settings: Options = field(default_factory=dict)
    """The contents of config.toml, for a run that is yet to begin."""
    listeners: list[Callable[[list[dict[str, Any]]], None]] = field(default_factory=list, compare=False)
    """Called with the lines that are appended to history.jsonl."""

    @property
    def kept(self) -> bool:
        """Whether this process writes the folder."""
        return True

    def begin(self) -> None:
        """Make the folder anew, with config.toml and nothing else; call it when all settings are known to be right."""
        for path in _entries(self.folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.checkpoints.mkdir(parents=True)
        (self.folder / CONFIG).write_text(tomli_w.dumps(self.settings), encoding="utf-8")

    @property
    def began(self) -> bool:
        """Whether the folder holds a run of these settings, finished or not; `claim` has checked whose they are."""
        return (self.folder / CONFIG).is_file() and self.checkpoints.is_dir()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder (MailError when one is in it); what a kill left in it goes."""
        with Lock(self.folder, f"{self.folder}: another `mail` is training this run. Wait for it."):
            for folder in (self.folder, self.checkpoints):
                sweep(folder)
            yield

    @property
    def result(self) -> dict[str, Any] | None:
        """result.json of a finished run, or None."""
        path = self.folder / RESULT
        if not path.exists():
            return None
        try:
            found = dict(read_json(path)) if path.is_file() else {}
            groups = found["test"]
            whole = (
                isinstance(found["dataset"], str)
                and [found[key] for key in ("cell", "protocol", "seed")]
                == [self.config.cell, self.config.protocol, self.config.seed]
                and _is_share(groups["all"]["one_class_impressions"])
                and all(group[key] is None or _is_share(group[key]) for group in groups.values() for key in _METRICS)
                and all(value is None or _is_share(value) for value in _conversions(groups))
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise MailError(f"{path}: is damaged. Delete the folder and give its `mail train` command again.")
        return found

    @property
    def environment(self) -> dict[str, Any]:
        """environment.json of a finished run (MailError when it cannot be read)."""
        path = self.folder / ENVIRONMENT
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise MailError(f"{path}: cannot be read ({error}). Delete the folder and run again.") from error
        if not isinstance(found, dict) or not found:
            raise MailError(f"{path}: is damaged. Delete the folder and run again.")
        return found

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def weights(self) -> Path:
        """The best epoch's weights."""
        return self.checkpoints / "best.weights.h5"

    @property
    def optimizers(self) -> Path:
        """Both optimizers at the best epoch; a two-stage method has none."""
        return self.checkpoints / "best.optimizers.npz"

    @property
    def vocabularies(self) -> Path:
        """The ids of the table of a run that goes on with another."""
        return self.folder / _VOCABULARIES

    def restore(self, model: TwoTower) -> None:
        """Load the best epoch's weights into a model of the run's config (MailError when they do not fit)."""
        if self.weights.exists() and not self.weights.is_file():
            # A pipe might never end.
            raise MailError(f"{self.weights}: is not a file. Delete the folder and train again.")
        try:
            model.load_weights(self.weights)
        except (OSError, ValueError, KeyError) as error:
            raise MailError(
                f"{self.weights}: is damaged, or does not fit this run's model and dataset ({error}). Delete the "
                f"folder {self.folder} and train again."
            ) from error

    def log(self, lines: list[dict[str, Any]]) -> None:
        """Append lines to history.jsonl."""
        with open(self.folder / _HISTORY, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for listener in self.listeners:
            listener(lines)

    def history_bytes(self) -> int:
        """The length of history.jsonl, all of it on the disk."""
        with open(self.folder / _HISTORY, "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def cut_history(self, size: int) -> None:
        """Drop what history.jsonl tells of steps after a checkpoint: they are made again."""
        with open(self.folder / _HISTORY, "ab") as file:
            file.truncate(size)

    def history(self) -> list[dict[str, Any]]:
        """The lines of history.jsonl."""
        with open(self.folder / _HISTORY, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def finish(self, scores: NDArray[np.float32], environment: dict[str, Any], result: dict[str, Any]) -> None:
        """Write predictions and metrics; result.json comes last and whole, so it marks the run as finished."""
        with whole(self.folder / "predictions.npy") as partial:
            np.save(partial, scores, allow_pickle=False)
        _write_json(self.folder / ENVIRONMENT, environment)
        _write_json(self.folder / RESULT, result)


class ElsewhereRun(Run):
    """A run whose folder another worker writes: here nothing is read or written."""

    @property
    def kept(self) -> bool:
        """False."""
        return False

    @property
    def began(self) -> bool:
        """False: what was begun is the chief's to know."""
        return False

    @property
    def result(self) -> None:
        """None."""
        return None

    def begin(self) -> None:
        """Nothing."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep nobody out."""
        yield

    def restore(self, model: TwoTower) -> None:
        """Nothing: the chief gives its weights to all."""

    def log(self, lines: list[dict[str, Any]]) -> None:
        """Nothing."""

    def history_bytes(self) -> int:
        """0"""
        return 0

    def cut_history(self, size: int) -> None:
        """Nothing."""

    def finish(self, scores: NDArray[np.float32], environment: dict[str, Any], result: dict[str, Any]) -> None:
        """Nothing."""


def _is_share(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= 1


def _conversions(groups: dict[str, dict[str, Any]]) -> list[Any]:
    return [value for group in groups.values() for key, value in group.items() if key.startswith("CTCVR")]


def _write_json(path: Path, data: dict[str, Any]) -> None:
    with whole(path) as partial:
        partial.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def fingerprint(store: Store) -> str:
    """SHA-256 of the store's dataset.json, which holds that of the raw files."""
    return hashlib.sha256((store.folder / "dataset.json").read_bytes()).hexdigest()


def _fingerprints(config: RunConfig, store: Store) -> dict[str, str]:
    """What a run depends on besides its settings: the dataset, and code from outside."""
    found = {
        _DATASET: fingerprint(store),
        "ranker_sha256": plugins.code_sha256(plugins.RANKERS, config.ranker),
        "cold_start_sha256": plugins.code_sha256(plugins.COLD_STARTS, config.cold_start),
    }
    return {key: value for key, value in found.items() if value}


def identity(config: RunConfig, store: Store) -> Options:
    """All that a run's result depends on: its settings, the dataset, and code from outside."""
    return {**_fingerprints(config, store), **to_toml(config)}


def claim(runs: Path, config: RunConfig, store: Store, others: Mapping[str, str] | None = None) -> Run:
    """The run of that config: finished and reusable, or one that `begin` makes a folder for.

    Args:
        runs: folder of the runs.
        config: of the run.
        store: the dataset.
        others: SHA-256 of what the run depends on besides, by a key that ends with `_sha256`.

    Raises:
        MailError: the folder holds something that is not ours, or a run with other settings or data.
    """
    folder = runs / config.place
    settings = {**identity(config, store), **(others or {})}
    run = Run(folder, config, settings)
    strangers = [path.name for path in _entries(folder) if intended(path.name) not in _OURS]
    if strangers or (folder.exists() and not folder.is_dir()):
        raise MailError(
            f"{folder}: is not a run folder of ours ({', '.join(strangers[:3])}). Choose another --runs folder."
        )
    if (folder / CONFIG).is_file():
        # A version without some setting did what is its default now.
        defaults = {each.name: each.default for each in fields(RunConfig) if each.default is not MISSING}
        differ = differences({**defaults, **read_toml(folder / CONFIG)}, settings)
        if differ:
            raise MailError(
                f"{folder}: holds a run with other settings ({'; '.join(differ)}). "
                f"Choose another --runs folder, or delete this one."
            )
    return run


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def settings_of(path: Path) -> Options:
    """The settings of a TOML file: a run's config.toml, or one of the user's (MailError when it cannot be read)."""
    return {key: value for key, value in read_toml(path).items() if not key.endswith("_sha256")}


def open_run(folder: Path) -> Run:
    """A finished run.

    Raises:
        MailError: the folder is not a run's, or the run is not finished.
    """
    if not folder.exists():
        raise MailError(
            f"{folder}: there is no such folder.{_nearest_folder(folder)} Expected one made by `mail train`."
        )
    if not (folder / CONFIG).is_file():
        raise MailError(f"{folder}: holds no {CONFIG}, so it is not a run folder. Expected one made by `mail train`.")
    run = Run(folder, make_config([settings_of(folder / CONFIG)]))
    if run.result is None:
        raise MailError(f"{folder}: the run is not finished. Give its `mail train` command again.")
    return run


def _nearest_folder(folder: Path) -> str:
    """`" Did you mean 'base+mail'?"` for the name most like that of the first folder that is missing on the way."""
    missing = next(each for each in (*reversed(folder.parents), folder) if not each.exists())
    beside = missing.parent.iterdir() if missing.parent.is_dir() else ()
    return nearest(missing.name, [each.name for each in beside if each.is_dir()])


def trained_on(run: Run) -> str | None:
    """SHA-256 of the dataset.json of the dataset that a run was trained on."""
    return _settings_of(run).get(_DATASET)


def check_unchanged(run: Run, store: Store) -> None:
    """Refuse to score a run on another version of its dataset, or by other code from outside (MailError)."""
    now, then = _fingerprints(run.config, store), _settings_of(run)
    changed = [key for key, value in now.items() if then.get(key) != value]
    if changed and changed[0] != _DATASET:
        what = run.config.ranker if changed[0] == "ranker_sha256" else run.config.cold_start
        raise MailError(f"{run.folder}: '{what}' has changed since. Train again in another --runs folder.")
    if changed:
        raise MailError(
            f"{run.folder}: was trained on another version of the dataset '{store.name}' than {store.folder} holds. "
            f"Train again in another --runs folder."
        )


def read_as(run: Run, store: Store) -> Store:
    """The unchanged store with the ids that the run's table has (MailError as `check_unchanged`)."""
    check_unchanged(run, store)
    if not run.config.continues:
        return store
    return Renumbered(store.folder, load_numbering(run.vocabularies, _settings_of(run).get(NUMBERING)))


def _settings_of(run: Run) -> Options:
    return read_toml(run.folder / CONFIG)


def baseline_of(run: Run) -> dict[str, Any] | None:
    """result.json of the run's baseline, where the same runs folder holds it finished; None for a baseline itself."""
    if run.config.cold_start == "none":
        return None
    config = run.config.baseline()
    folder = run.folder.parent.parent / config.cell / run.folder.name
    if not (folder / RESULT).is_file():
        return None
    baseline = open_run(folder)
    return baseline.result if baseline.config == config else None


def finished(runs: Path) -> list[Run]:
    """All finished runs below a folder, sorted by path (MailError when there is none)."""
    folders = sorted(path.parent for path in runs.rglob(f"seed-*/{RESULT}"))
    if not folders:
        raise MailError(f"{runs}: holds no finished run. Make one with `mail train`.")
    return [open_run(folder) for folder in folders]
