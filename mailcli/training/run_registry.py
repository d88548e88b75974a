"""Which run belongs to a config: found, claimed, reused, refused when it has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli import plugins
from mailcli.config import Options, RunConfig, differences, make_config, to_toml
from mailcli.data.dataset import MANIFEST, Dataset
from mailcli.data.numbering import RenumberedDataset, load_numbering
from mailcli.errors import MailError, did_you_mean
from mailcli.utils.files import file_sha256, final_name
from mailcli.utils.parsing import read_toml

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and most of what reads runs does not need it
    pass
from mailcli.training.run_folder import _DATASET, _OURS, CONFIG, NUMBERING, RESULT, Run, _entries


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 of dataset.json, which holds that of the raw files."""
    return file_sha256(dataset.folder / MANIFEST)


def _fingerprints(config: RunConfig, dataset: Dataset) -> dict[str, str]:
    """What a run depends on besides its settings: the dataset, and code from outside."""
    found = {
        _DATASET: fingerprint(dataset),
        "ranker_sha256": plugins.code_sha256(plugins.RANKERS, config.ranker),
        "cold_start_sha256": plugins.code_sha256(plugins.COLD_STARTS, config.cold_start),
    }
    return {key: value for key, value in found.items() if value}


def identity(config: RunConfig, dataset: Dataset) -> Options:
    """All that a run's result depends on: its settings, the dataset, and code from outside."""
    return {**_fingerprints(config, dataset), **to_toml(config)}


def claim(runs: Path, config: RunConfig, dataset: Dataset, others: Mapping[str, str] | None = None) -> Run:
    """The run of that config: finished and reusable, or one that `begin` makes a folder for.

    Args:
        runs: folder of the runs.
        config: of the run.
        dataset: the dataset.
        others: SHA-256 of what the run depends on besides, by a key that ends with `_sha256`.

    Raises:
        MailError: the folder holds something that is not ours, or a run with other settings or data.
    """
    folder = runs / config.run_path
    settings = {**identity(config, dataset), **(others or {})}
    run = Run(folder, config, settings)
    strangers = [path.name for path in _entries(folder) if final_name(path.name) not in _OURS]
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
    return did_you_mean(missing.name, [each.name for each in beside if each.is_dir()])


def trained_on(run: Run) -> str | None:
    """SHA-256 of the dataset.json of the dataset that a run was trained on."""
    return _settings_of(run).get(_DATASET)


def check_unchanged(run: Run, dataset: Dataset) -> None:
    """Refuse to score a run on another version of its dataset, or by other code from outside (MailError)."""
    now, then = _fingerprints(run.config, dataset), _settings_of(run)
    changed = [key for key, value in now.items() if then.get(key) != value]
    if changed and changed[0] != _DATASET:
        what = run.config.ranker if changed[0] == "ranker_sha256" else run.config.cold_start
        raise MailError(f"{run.folder}: '{what}' has changed since. Train again in another --runs folder.")
    if changed:
        raise MailError(
            f"{run.folder}: was trained on another version of the dataset '{dataset.name}' than {dataset.folder} "
            f"holds. Train again in another --runs folder."
        )


def read_as(run: Run, dataset: Dataset) -> Dataset:
    """The unchanged dataset with the ids that the run's table has (MailError as `check_unchanged`)."""
    check_unchanged(run, dataset)
    if not run.config.continues:
        return dataset
    return RenumberedDataset(dataset.folder, load_numbering(run.vocabularies, _settings_of(run).get(NUMBERING)))


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
