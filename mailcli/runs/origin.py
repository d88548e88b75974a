"""Whether runs and datasets belong together: trained on this version of a dataset, by this code."""

from __future__ import annotations

from collections.abc import Sequence

from mailcli import plugins
from mailcli.config import Options
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import RenumberedDataset, load_numbering
from mailcli.errors import MailError
from mailcli.runs.folder import CONFIG, RunFolder
from mailcli.runs.identity import (
    DATASET,
    METHOD_VERSION,
    NUMBERING,
    RANKER,
    VERSION,
    VERSIONS,
    checksums_of,
    version_keys,
)
from mailcli.runs.remedy import TRAIN_ANEW
from mailcli.utils.parsing import read_toml


def trained_dataset_sha256(run: RunFolder) -> str | None:
    """SHA-256 of the dataset.json that a run was trained on."""
    return _config_toml(run).get(DATASET)


def check_unchanged(run: RunFolder, dataset: Dataset) -> None:
    """Refuse to score a run on another version of its dataset, or with changed code, outside's or ours (MailError)."""
    trained = _config_toml(run)
    current = version_keys(run.config)
    for key in VERSIONS:
        version, here = trained.get(key, 1), current.get(key, 1)
        if version != here:
            raise MailError(
                f"{run.folder}: was trained by another version of mail, whose models differ ({key} {version}, here "
                f"{here}). {TRAIN_ANEW}"
            )
    changed = [key for key, checksum in checksums_of(run.config, dataset).items() if trained.get(key) != checksum]
    if changed and changed[0] != DATASET:
        name = run.config.ranker if changed[0] == RANKER else run.config.cold_start
        raise MailError(f"{run.folder}: '{name}' has changed since training. {TRAIN_ANEW}")
    if changed:
        raise MailError(
            f"{run.folder}: was trained on another version of the dataset '{dataset.name}' than the one in "
            f"{dataset.folder}. {TRAIN_ANEW}"
        )


def read_with_run_ids(run: RunFolder, dataset: Dataset) -> Dataset:
    """A run's dataset, with the ids of the run's embedding table (MailError as `check_unchanged`)."""
    check_unchanged(run, dataset)
    if not run.config.continues:
        return dataset
    return RenumberedDataset(dataset.folder, load_numbering(run.vocabularies, _config_toml(run).get(NUMBERING)))


def check_same_origin(runs: Sequence[RunFolder]) -> None:
    """Refuse a table of runs on two versions of one dataset, or by two versions of mail (MailError)."""
    fault = origin_fault(runs)
    if fault:
        raise MailError(f"{fault}. Delete one of them and run again.")


def origin_fault(runs: Sequence[RunFolder]) -> str:
    """Which two runs cannot be compared, and why; empty if all can.

    Of trivial rows only the dataset is compared: a new version changes one of them, and the others' results stay.
    """
    first_on: dict[str, RunFolder] = {}
    first_with: dict[str, RunFolder] = {}
    first_trained: RunFolder | None = None
    for run in runs:
        settings, first = _config_toml(run), first_on.setdefault(run.config.data, run)
        if settings.get(DATASET) != _config_toml(first).get(DATASET):
            return f"{first.folder} and {run.folder} are on two versions of the dataset '{run.config.data}'"
        if plugins.is_trivial(run.config.ranker):
            continue
        first_trained = first_trained or run
        same_method = first_with.setdefault(run.config.cold_start, run)
        for key, other in ((VERSION, first_trained), (METHOD_VERSION, same_method)):
            if settings.get(key, 1) != _config_toml(other).get(key, 1):
                return f"{other.folder} and {run.folder} are by two versions of mail, whose models differ"
    return ""


def _config_toml(run: RunFolder) -> Options:
    return read_toml(run.folder / CONFIG)
