"""Which run can be continued on which dataset."""

from __future__ import annotations

from pathlib import Path

from mailcli.data.dataset import Dataset, dataset_names, open_dataset
from mailcli.data.field_definitions import field_definitions
from mailcli.data.schema import Schema
from mailcli.errors import MailError, quoted
from mailcli.runs.folder import RunFolder
from mailcli.runs.identity import dataset_sha256
from mailcli.runs.origin import read_with_run_ids, trained_dataset_sha256
from mailcli.runs.remedy import TRAIN_ELSEWHERE


def open_parent_dataset(parent: RunFolder, data_dir: Path) -> Dataset:
    """The dataset that a run was trained on, read with the run's ids (MailError if it has changed)."""
    name = parent.config.data
    if name in dataset_names(data_dir):
        dataset = open_dataset(data_dir, name)
        if dataset_sha256(dataset) == trained_dataset_sha256(parent):
            return read_with_run_ids(parent, dataset)
    raise MailError(
        f"{data_dir / name}: is missing or has changed since {parent.folder} was trained on it, and its ids and test "
        "split are needed. Keep the datasets of both days: `mail preprocess ... --name NAME` writes the next day's "
        "next to it."
    )


def check_next_dataset(parent: RunFolder, earlier: Dataset, dataset: Dataset) -> None:
    """Refuse the run's own dataset, and one with other fields or buckets (MailError)."""
    if dataset_sha256(dataset) == dataset_sha256(earlier):
        raise MailError(
            f"--data {dataset.name}: is the dataset that {parent.folder} was trained on. Expected that of the next "
            "day, made by `mail preprocess ... --name NAME`."
        )
    differ = _schema_differences(earlier.schema, dataset.schema) or bucket_differences(earlier, dataset)
    if differ:
        raise MailError(
            f"--data {dataset.name}: does not have the form of '{earlier.name}' ({'; '.join(differ)}). Expected a "
            "dataset from the same source."
        )


def _schema_differences(old: Schema, new: Schema) -> list[str]:
    """What only one of the schemas has."""
    differences = []
    for kind, before, after in (
        ("fields", [field.name for field in old.fields], [field.name for field in new.fields]),
        ("dense features", old.dense, new.dense),
        ("actions", old.actions, new.actions),
        ("labels", old.labels, new.labels),
    ):
        missing = dict.fromkeys(name for name in before if name not in after)
        additional = dict.fromkeys(name for name in after if name not in before)
        differences += [f"{kind}: {quoted(missing)} missing"] if missing else []
        differences += [f"{kind}: {quoted(additional)} added"] if additional else []
    return differences or (["the same fields, defined differently"] if old != new else [])


def bucket_differences(old: Dataset, new: Dataset) -> list[str]:
    """The fields of schema files whose buckets have other edges, so that one id would have two meanings."""
    before, after = (
        {**_edges(dataset), **dataset.manifest.get("mapping", {}).get("edges", {})} for dataset in (old, new)
    )
    fields = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not fields:
        return []
    edges = "; ".join(f"{name}: edges = {list(before[name])}" for name in fields if name in before)
    return [f"{quoted(fields)}: other buckets; copy those of '{old.name}' into the schema file, {edges}"]


def _edges(dataset: Dataset) -> dict[str, list[float]]:
    """The edges of buckets that the dataset's schema file sets, by field."""
    definitions = field_definitions(dataset).items()
    return {name: definition["edges"] for name, definition in definitions if "edges" in definition}


def check_continuable(parent: RunFolder) -> None:
    """Refuse a run that cannot be continued (MailError).

    It has a two-stage method or one tied to its dataset, no optimizer state, or changed weights.
    """
    from mailcli.models.factory import is_continuable, is_two_stage

    if is_two_stage(parent.config):
        raise MailError(
            f"{parent.folder}: '{parent.config.cold_start}' is fitted to a trained ranker, so there is nothing to "
            f"continue. Continue the run of {parent.config.baseline().cell} instead."
        )
    if not is_continuable(parent.config):
        raise MailError(
            f"{parent.folder}: '{parent.config.cold_start}' begins with statistics of one dataset, so a run of it "
            "cannot be continued on another. Train it on the new dataset from the start."
        )
    for path in (parent.weights, parent.optimizers):
        if not path.is_file():
            raise MailError(
                f"{path}: is missing, so the run cannot be continued (it was deleted, or the run is of an older "
                f"version, which kept no optimizers). {TRAIN_ELSEWHERE}"
            )
    parent.check_optimizers()
