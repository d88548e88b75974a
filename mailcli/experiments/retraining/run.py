"""A finished run is continued on the next day's dataset, and measured on both days."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mailcli.config import OPTION_TABLES, RunConfig, to_toml
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.last_used import remember
from mailcli.data.numbering import RenumberedDataset, current_numbering, extend_numbering, numbering_sha256
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.experiments.cells import resolve_config
from mailcli.experiments.retraining.checks import check_continuable, check_next_dataset, open_parent_dataset
from mailcli.runs.folder import RunFolder
from mailcli.runs.identity import NUMBERING, PARENT_OPTIMIZERS
from mailcli.runs.opening import check_has_weights, open_run
from mailcli.runs.registry import find_run
from mailcli.training import trackers
from mailcli.utils.files import file_sha256
from mailcli.utils.tensorflow_startup import load_tensorflow

#: The settings that may change from day to day; weights, optimizer state and groups of users depend on all others.
CHANGEABLE = (
    *("epochs", "patience", "eval_every", "select", "batch_size", "learning_rate", "zero_shot_learning_rate"),
    *("embedding_l2", "precision", "embedding_init"),
)


def continue_run(
    folder: Path,
    data: str | None,
    changes: Mapping[str, Any],
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
    overwrite: bool = False,
) -> RunFolder:
    """The finished run that continues another one on the next day's dataset, trained if it is missing.

    Args:
        folder: of the run to continue.
        data: name of the next day's dataset.
        changes: settings to change, from CHANGEABLE.
        data_dir: folder of the datasets; it must still hold the one of the run.
        runs: folder of the runs.
        checkpoint_minutes: between two checkpoints; None for the default.
        overwrite: whether a run with other settings is replaced, such as one that continues another run.

    Raises:
        MailError: the run is not finished or lacks its optimizers, or cannot be continued on the dataset.
    """
    if data is None:
        raise MailError("--continue: name the next day's dataset with --data.")
    parent, dataset = open_run(folder), open_dataset(data_dir, data)
    check_has_weights(parent)
    earlier = open_parent_dataset(parent, data_dir)
    check_next_dataset(parent, earlier, dataset)
    load_tensorflow()
    check_continuable(parent)
    numbering = extend_numbering(current_numbering(earlier), dataset)
    config = _config(parent, dataset, changes)
    dataset.check_history(config.history)
    checksums = {PARENT_OPTIMIZERS: file_sha256(parent.optimizers), NUMBERING: numbering_sha256(numbering)}
    run = find_run(runs, config, dataset, checksums, overwrite)
    remember(dataset)
    trackers.note_reused([run])
    if run.result is None:
        from mailcli.training.train import train
        from mailcli.training.warm_start import ContinuedRun, WarmStart

        continued = ContinuedRun(run.folder, config, run.settings, replaces=run.replaces, numbering=numbering)
        train(
            continued,
            RenumberedDataset(dataset.folder, numbering),
            None,
            checkpoint_minutes,
            WarmStart(parent, earlier),
        )
    return run


def _config(parent: RunFolder, dataset: Dataset, changes: Mapping[str, Any]) -> RunConfig:
    """The run's settings with the changes (MailError for a setting that cannot be changed)."""
    fixed = [key for key in changes if key not in CHANGEABLE]
    unknown = [key for key in fixed if key.partition(".")[0] not in {*vars(parent.config), *OPTION_TABLES}]
    if unknown:
        raise MailError("; ".join(f"unknown setting '{key}'.{did_you_mean(key, CHANGEABLE)}" for key in unknown))
    if fixed:
        raise MailError(
            f"--continue keeps the settings of {parent.folder}: {quoted(fixed)} cannot be changed. Only these can: "
            f"{quoted(CHANGEABLE)}."
        )
    continues = {"continues": file_sha256(parent.weights)}
    return resolve_config([to_toml(parent.config), continues, dict(changes)], dataset.name, dataset.history)
