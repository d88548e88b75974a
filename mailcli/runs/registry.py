"""Finds the run of a config; refuses a folder with other settings or data."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path

from mailcli.config import Options, RunConfig, differences
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.runs.checkpoints import delete_leftovers
from mailcli.runs.folder import CONFIG, ENTRIES, RESULT, RunFolder, check_finished_files, entries, lock_of
from mailcli.runs.identity import VERSIONS, run_identity
from mailcli.runs.remedy import OVERWRITE, TRAIN_AGAIN
from mailcli.settings.option_defaults import set_changed_defaults, spell_alike
from mailcli.utils.files import file_sha256, final_name, is_half_replaced, restore_folder
from mailcli.utils.parsing import read_toml
from mailcli.utils.paths import real_path

logger = logging.getLogger(__name__)

#: What systems leave in any folder: macOS, Windows, and NFS for a file that is deleted while it is open.
_OF_SYSTEMS = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\.nfs.+")


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
        runs: folder of the runs.
        config: of the run.
        dataset: the dataset.
        checksums: SHA-256 of what else the run depends on, by keys that end with `_sha256`.
        overwrite: whether a run with other settings, data or code is replaced once the new one begins; otherwise it is
            refused.
        remedy: what to do about such a run, for the error.

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


def still_holds(run: RunFolder) -> bool:
    """Whether the folder of a run that `find_run` has found, and that was trained since if need be, still holds it."""
    return (run.folder / RESULT).exists() and not _changes(run.folder, run.settings)


def holds_another(runs: Path, config: RunConfig, dataset: Dataset) -> bool:
    """Whether the folder of a config holds a run with other settings, data or code."""
    return bool(_changes(runs / config.run_path, run_identity(config, dataset)))


def _changes(folder: Path, settings: Options) -> list[str]:
    """In what the run of a folder differs from the given settings; nothing if the folder holds none."""
    if not (folder / CONFIG).is_file():
        return []
    # An older version that lacked a setting did what is now the default.
    defaults = {setting.name: setting.default for setting in fields(RunConfig) if setting.default is not MISSING}
    versions = dict.fromkeys(VERSIONS, 1)
    recorded = {**versions, **defaults, **set_changed_defaults(read_toml(folder / CONFIG, TRAIN_AGAIN))}
    return differences(spell_alike(recorded), spell_alike({**versions, **set_changed_defaults(settings)}))


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
    names = [path.name for path in entries(folder) if not _OF_SYSTEMS.fullmatch(path.name)]
    unknown = [name for name in names if final_name(name) not in ENTRIES]
    if unknown:
        raise MailError(f"{folder}: is not a run folder; it holds {', '.join(unknown[:3])}. {remedy}")
