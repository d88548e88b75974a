"""Finds the run of a config; refuses a folder with other settings or data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.config import Options, RunConfig, differences, make_config, to_toml
from mailcli.data.dataset import MANIFEST, Dataset
from mailcli.data.numbering import RenumberedDataset, load_numbering
from mailcli.errors import MailError, did_you_mean
from mailcli.runs.checkpoints import delete_leftovers
from mailcli.runs.folder import CONFIG, ENTRIES, RESULT, RunFolder, check_finished_files, entries, lock_of
from mailcli.runs.remedy import TRAIN_AGAIN, TRAIN_ANEW
from mailcli.settings.option_defaults import default_tables, set_changed_defaults
from mailcli.utils.files import file_sha256, final_name, is_half_replaced, restore_folder
from mailcli.utils.parsing import read_toml
from mailcli.utils.paths import real_path

logger = logging.getLogger(__name__)

#: The key of config.toml for the dataset.
_DATASET = "dataset_sha256"
#: Keys of config.toml for the code of an outside ranker or method.
_RANKER, _COLD_START = "ranker_sha256", "cold_start_sha256"
#: Keys of config.toml of a run that continues another: its ids, and the other run's optimizers.
NUMBERING, PARENT_OPTIMIZERS = "vocabularies_sha256", "continues_optimizers_sha256"
#: The key of config.toml for `training_version`; a run without it has version 1.
_VERSION = "training_version"
#: Raised when the same settings train another model than before, so that no table mixes the two. 2: batch
#: normalization's statistics, the draw of `strict`, generated steps with a length and an action, LLAE, CVAE.
TRAINING_VERSION = 2
#: The same for trivial rows. 3: the bias of a new user whose id is known.
TRIVIAL_VERSION = 3
#: What to do about a run with other settings, data or code.
OVERWRITE = "Add --overwrite to train it anew, or choose another --runs folder."
_SHA256 = "_sha256"
_SHA256_KEYS = (_DATASET, _RANKER, _COLD_START, NUMBERING, PARENT_OPTIMIZERS)


def dataset_sha256(dataset: Dataset) -> str:
    """SHA-256 of dataset.json, which in turn holds the SHA-256 of the raw files."""
    return file_sha256(dataset.folder / MANIFEST)


def _checksums(config: RunConfig, dataset: Dataset) -> dict[str, str]:
    """SHA-256 of what a run depends on besides its settings: the dataset, and an outside ranker or method."""
    checksums = {
        _DATASET: dataset_sha256(dataset),
        _RANKER: None if plugins.is_trivial(config.ranker) else plugins.code_sha256(plugins.RANKERS, config.ranker),
        _COLD_START: plugins.code_sha256(plugins.COLD_STARTS, config.cold_start),
    }
    return {key: checksum for key, checksum in checksums.items() if checksum}


def training_version(config: RunConfig) -> int:
    """TRAINING_VERSION, or TRIVIAL_VERSION for a trivial row."""
    return TRIVIAL_VERSION if plugins.is_trivial(config.ranker) else TRAINING_VERSION


def run_identity(config: RunConfig, dataset: Dataset) -> Options:
    """All that a run's result depends on: its settings, the dataset, the code of an outside ranker or method, ours."""
    return {
        _VERSION: training_version(config),
        **_checksums(config, dataset),
        **to_toml(config),
        **default_tables(config),
    }


def find_run(
    runs: Path,
    config: RunConfig,
    dataset: Dataset,
    checksums: Mapping[str, str] | None = None,
    overwrite: bool = False,
    remedy: str = OVERWRITE,
) -> RunFolder:
    """The run of a config: finished, unfinished, or not begun yet.

    Args:
        runs: folder of the runs. config: of the run. dataset: the dataset. checksums: SHA-256 of what else the run
        depends on, by keys that end with `_sha256`. overwrite: whether a run with other settings, data or code is
        replaced once the new one begins; otherwise it is refused. remedy: what to do about such a run, for the error.

    Raises:
        MailError: the folder is not a run folder, or holds a run with other settings, data or code.
    """
    folder = runs / config.run_path
    settings = {**run_identity(config, dataset), **(checksums or {})}
    check_run_folder(folder)
    _end_replacement(folder)
    if (folder / RESULT).exists():
        check_finished_files(folder)
    changes = _changes(folder, settings)
    if changes and not overwrite:
        raise MailError(f"{folder}: holds a run with other settings ({'; '.join(changes)}). {remedy}")
    run = RunFolder(folder, config, settings, replaces=file_sha256(folder / CONFIG) if changes else "")
    is_finished = (folder / RESULT).exists() and not changes
    if is_finished:
        delete_leftovers(run)
    state = "another" if changes else "finished" if is_finished else "unfinished" if run.has_begun else "no"
    logger.debug(f"{folder}: {state} run of this config.")
    return run


def holds_another(runs: Path, config: RunConfig, dataset: Dataset) -> bool:
    """Whether the folder of a config holds a run with other settings, data or code."""
    return bool(_changes(runs / config.run_path, run_identity(config, dataset)))


def _changes(folder: Path, settings: Options) -> list[str]:
    """In what the run of a folder differs from the given settings; nothing if the folder holds none."""
    if not (folder / CONFIG).is_file():
        return []
    # An older version that lacked a setting did what is now the default.
    defaults = {setting.name: setting.default for setting in fields(RunConfig) if setting.default is not MISSING}
    recorded = {_VERSION: 1, **defaults, **set_changed_defaults(read_toml(folder / CONFIG))}
    return differences(recorded, set_changed_defaults(settings))


def _end_replacement(folder: Path) -> None:
    """Bring back the run of which a kill has left no more than an old folder, or delete it if the new one is there.

    Raises:
        MailError: another process is replacing it.
    """
    folder = real_path(folder)
    if is_half_replaced(folder):
        with lock_of(folder):
            restore_folder(folder)


def check_run_folder(folder: Path, remedy: str = "Choose another --runs folder.") -> None:
    """Refuse a folder that holds anything but a run, so that nothing of somebody else's is deleted (MailError)."""
    if folder.exists() and not folder.is_dir():
        raise MailError(f"{folder}: is not a folder. {remedy}")
    unknown = [path.name for path in entries(folder) if final_name(path.name) not in ENTRIES]
    if unknown:
        raise MailError(f"{folder}: is not a run folder; it holds {', '.join(unknown[:3])}. {remedy}")


def read_settings(path: Path) -> Options:
    """The settings in a TOML file: a run's config.toml, or one of the user's (MailError if it cannot be read)."""
    settings = set_changed_defaults(read_toml(path))
    return {key: value for key, value in settings.items() if not key.endswith(_SHA256) and key != _VERSION}


def open_run(folder: Path) -> RunFolder:
    """A finished run.

    Raises:
        MailError: the folder is not a run folder, or the run is not finished.
    """
    if not folder.exists():
        raise MailError(
            f"{folder}: there is no such folder.{suggest_folder(folder)} Expected one made by `mail train`."
        )
    if not (folder / CONFIG).is_file():
        raise MailError(f"{folder}: holds no {CONFIG}, so it is not a run folder. Expected one made by `mail train`.")
    if not (folder / RESULT).exists():
        raise MailError(f"{folder}: the run is not finished. Repeat the command that began it.")
    check_finished_files(folder)
    run = RunFolder(folder, read_config(folder / CONFIG))
    # Raises an error if it is damaged.
    _ = run.result
    return run


def read_config(path: Path) -> RunConfig:
    """The config in a run's config.toml (MailError if it has an unknown key or a wrong value)."""
    settings = read_toml(path)
    unknown = [key for key in settings if key.endswith(_SHA256) and key not in _SHA256_KEYS]
    if unknown:
        raise MailError(f"{path}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], _SHA256_KEYS)}")
    try:
        return make_config([read_settings(path)])
    except MailError as error:
        raise MailError(f"{path}: {error.message} {TRAIN_AGAIN}") from error


def suggest_folder(folder: Path) -> str:
    """`" Did you mean 'base+mail'?"` for the folder most like the first one on the path that does not exist."""
    missing = next(path for path in (*reversed(folder.parents), folder) if not path.exists())
    siblings = missing.parent.iterdir() if missing.parent.is_dir() else ()
    return did_you_mean(missing.name, [path.name for path in siblings if path.is_dir()])


def trained_dataset_sha256(run: RunFolder) -> str | None:
    """SHA-256 of the dataset.json that a run was trained on."""
    return _config_toml(run).get(_DATASET)


def check_unchanged(run: RunFolder, dataset: Dataset) -> None:
    """Refuse to score a run on another version of its dataset, or with changed code, outside's or ours (MailError)."""
    trained = _config_toml(run)
    version, current = trained.get(_VERSION, 1), training_version(run.config)
    if version != current:
        raise MailError(
            f"{run.folder}: was trained by another version of mail, whose models differ ({_VERSION} {version}, here "
            f"{current}). {TRAIN_ANEW}"
        )
    changed = [key for key, checksum in _checksums(run.config, dataset).items() if trained.get(key) != checksum]
    if changed and changed[0] != _DATASET:
        name = run.config.ranker if changed[0] == _RANKER else run.config.cold_start
        raise MailError(f"{run.folder}: '{name}' has changed since training. {TRAIN_ANEW}")
    if changed:
        raise MailError(
            f"{run.folder}: was trained on another version of the dataset '{dataset.name}' than the one in "
            f"{dataset.folder}. {TRAIN_ANEW}"
        )


def check_has_weights(run: RunFolder) -> None:
    """Refuse the run of a trivial row where a network is needed (MailError)."""
    if plugins.is_trivial(run.config.ranker):
        raise MailError(
            f"{run.folder}: '{run.config.ranker}' is a trivial row, whose run keeps no weights to continue, export, "
            "score or draw. Expected the run of a ranker."
        )


def read_with_run_ids(run: RunFolder, dataset: Dataset) -> Dataset:
    """A run's dataset, with the ids of the run's embedding table (MailError as `check_unchanged`)."""
    check_unchanged(run, dataset)
    if not run.config.continues:
        return dataset
    return RenumberedDataset(dataset.folder, load_numbering(run.vocabularies, _config_toml(run).get(NUMBERING)))


def _config_toml(run: RunFolder) -> Options:
    return read_toml(run.folder / CONFIG)


def baseline_result(run: RunFolder) -> dict[str, Any] | None:
    """result.json of a run's baseline: None if there is no such finished run next to it, or for a baseline itself.

    A baseline that was trained on another version of the dataset, or by another version of mail, does not count.
    """
    if run.config.cold_start == "none":
        return None
    config = run.config.baseline()
    folder = run.folder.parent.parent / config.cell / run.folder.name
    if not (folder / RESULT).is_file():
        return None
    baseline = open_run(folder)
    if baseline.config != config or _origin_fault([run, baseline]):
        return None
    return baseline.result


def check_same_origin(runs: Sequence[RunFolder]) -> None:
    """Refuse a table of runs on two versions of one dataset, or by two versions of mail (MailError)."""
    fault = _origin_fault(runs)
    if fault:
        raise MailError(f"{fault}. Delete one of them and run again.")


def _origin_fault(runs: Sequence[RunFolder]) -> str:
    """Which two runs cannot be compared, and why; empty if all can.

    Of trivial rows only the dataset is compared: a new version changes one of them, and the others' results stay.
    """
    first_on: dict[str, RunFolder] = {}
    first_trained: RunFolder | None = None
    for run in runs:
        settings, first = _config_toml(run), first_on.setdefault(run.config.data, run)
        if settings.get(_DATASET) != _config_toml(first).get(_DATASET):
            return f"{first.folder} and {run.folder} are on two versions of the dataset '{run.config.data}'"
        if plugins.is_trivial(run.config.ranker):
            continue
        first_trained = first_trained or run
        if settings.get(_VERSION, 1) != _config_toml(first_trained).get(_VERSION, 1):
            return f"{first_trained.folder} and {run.folder} are by two versions of mail, whose models differ"
    return ""
