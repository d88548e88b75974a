"""Opens finished runs and reads the configs in their folders."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.config import Options, RunConfig, make_config
from mailcli.errors import MailError, did_you_mean
from mailcli.runs.folder import CONFIG, RESULT, RunFolder, check_finished_files
from mailcli.runs.identity import SHA256, SHA256_KEYS, VERSIONS
from mailcli.runs.origin import origin_fault
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.runs.run_folders import check_is_run
from mailcli.settings.option_defaults import set_changed_defaults
from mailcli.utils.parsing import read_toml

logger = logging.getLogger(__name__)


def open_run(folder: Path) -> RunFolder:
    """A finished run.

    Raises:
        MailError: the folder is not a run folder, or the run is not finished.
    """
    check_is_run(folder, (CONFIG,))
    if not (folder / RESULT).exists():
        raise MailError(f"{folder}: the run is not finished. Repeat the command that began it.")
    check_finished_files(folder)
    run = RunFolder(folder, read_config(folder / CONFIG))
    # Raises an error if it is damaged.
    _ = run.result
    return run


def read_config(path: Path) -> RunConfig:
    """The config in a run's config.toml (MailError if it has an unknown key or a wrong value)."""
    table = read_toml(path, TRAIN_AGAIN)
    unknown = [key for key in table if key.endswith(SHA256) and key not in SHA256_KEYS]
    if unknown:
        raise MailError(f"{path}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], SHA256_KEYS)}")
    try:
        return make_config([_settings(table)])
    except MailError as error:
        raise MailError(f"{path}: {error.message} {TRAIN_AGAIN}") from error


def read_settings(path: Path) -> Options:
    """The settings in a TOML file: a run's config.toml, or one of the user's (MailError if it cannot be read)."""
    return _settings(read_toml(path))


def _settings(table: Options) -> Options:
    """The settings in the content of config.toml, which also says what a run was made with."""
    settings = set_changed_defaults(table)
    return {key: value for key, value in settings.items() if not key.endswith(SHA256) and key not in VERSIONS}


def check_has_weights(run: RunFolder) -> None:
    """Refuse the run of a trivial row where a network is needed (MailError)."""
    if plugins.is_trivial(run.config.ranker):
        raise MailError(
            f"{run.folder}: '{run.config.ranker}' is a trivial row, whose run keeps no weights to continue, export, "
            "score or draw. Expected the run of a ranker."
        )


def baseline_result(run: RunFolder) -> dict[str, Any] | None:
    """result.json of a run's baseline: None if there is no such finished run next to it, or for a baseline itself.

    A baseline that was trained on another version of the dataset, or by another version of mail, does not count.
    """
    if run.config.cold_start == "none":
        return None
    config = run.config.baseline()
    # Absolute: `.` has no parent.
    own = run.folder.absolute()
    folder = own.parent.parent / config.cell / own.name
    if not (folder / RESULT).is_file():
        return None
    try:
        baseline = open_run(folder)
    except MailError as error:
        logger.warning(f"{run.folder}: no RI, because its baseline cannot be read. {error.message}")
        return None
    if baseline.config != config or origin_fault([run, baseline]):
        return None
    return baseline.result
