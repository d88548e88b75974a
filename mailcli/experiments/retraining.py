"""Daily retraining: a finished run goes on with the next day's dataset, and is measured on both days."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mailcli.config import OPTION_TABLES, Options, RunConfig, make_config, to_toml
from mailcli.data.dataset import Dataset, dataset_names, open_dataset
from mailcli.data.numbering import RenumberedDataset, current_numbering, extend_numbering, numbering_sha256
from mailcli.data.schema import Schema
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.reporting.tables import TITLES
from mailcli.reporting.text_table import Sheet
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import (
    NUMBERING,
    dataset_sha256,
    find_run,
    open_run,
    read_with_run_ids,
    trained_dataset_sha256,
)
from mailcli.utils.files import file_sha256
from mailcli.utils.tensorflow_startup import load_tensorflow

#: What the next day may do in another way; all else is what the run's weights, moments and groups of users are of.
CHANGEABLE = (
    *("epochs", "patience", "eval_every", "batch_size", "learning_rate", "zero_shot_learning_rate"),
    *("optimizer", "precision", "embedding_init"),
)
_OPTIMIZERS = "continues_optimizers_sha256"
_METRICS = ("AUC", "GAUC")
#: What the metrics of the earlier and of the later dataset show.
_SHOWS = ("forgetting", "gain")
#: Where a schema file has fields.
_FIELDS = (("users", "attributes"), ("items", "features"), ("behaviors", "fields"), ("impressions", "context"))


def continue_run(
    folder: Path, data: str | None, changes: Mapping[str, Any], data_dir: Path, runs: Path, minutes: float | None
) -> Run:
    """The finished run that goes on with another one on the next day's dataset; trained if need be.

    Args:
        folder: of the run to go on with.
        data: name of the next day's dataset.
        changes: settings to change, of CHANGEABLE.
        data_dir: folder of the datasets; the run's own is still there.
        runs: folder of the runs.
        minutes: between two checkpoints; None for the default.

    Raises:
        MailError: the run is not finished or keeps no moments, or the dataset is not one to go on with.
    """
    if data is None:
        raise MailError("--continue: name the next day's dataset with --data.")
    parent, dataset = open_run(folder), open_dataset(data_dir, data)
    earlier = _dataset_of(parent, data_dir)
    _check_dataset(parent, earlier, dataset)
    load_tensorflow()
    _check_kept(parent)
    numbering = extend_numbering(current_numbering(earlier), dataset)
    config = _config(parent, dataset, changes)
    dataset.check_history(config.history)
    others = {_OPTIMIZERS: file_sha256(parent.optimizers), NUMBERING: numbering_sha256(numbering)}
    run = find_run(runs, config, dataset, others)
    if run.result is None:
        from mailcli.training.train import CHECKPOINT_MINUTES, train
        from mailcli.training.warm_start import ContinuedRun, WarmStart

        continued = ContinuedRun(run.folder, config, run.settings, numbering=numbering)
        every = CHECKPOINT_MINUTES if minutes is None else minutes
        train(continued, RenumberedDataset(dataset.folder, numbering), None, every, WarmStart(parent, earlier))
    return run


def _dataset_of(parent: Run, data_dir: Path) -> Dataset:
    """The dataset that a run was trained on, read with the ids of its table (MailError where it is not as it was)."""
    name = parent.config.data
    if name in dataset_names(data_dir):
        dataset = open_dataset(data_dir, name)
        if dataset_sha256(dataset) == trained_dataset_sha256(parent):
            return read_with_run_ids(parent, dataset)
    raise MailError(
        f"{data_dir / name}: is missing or was made again, and {parent.folder} was trained on it as it was: its ids "
        "and its test split are needed. Keep the datasets of both days; `mail preprocess ... --name NAME` makes the "
        "next day's beside it."
    )


def _check_dataset(parent: Run, earlier: Dataset, dataset: Dataset) -> None:
    """Refuse a dataset that is the run's own, or of another form (MailError)."""
    if dataset_sha256(dataset) == dataset_sha256(earlier):
        raise MailError(
            f"--data {dataset.name}: is what {parent.folder} was trained on. Expected the dataset of the next day, "
            "made by `mail preprocess ... --name NAME`."
        )
    differ = _differences(earlier.schema, dataset.schema) or _other_buckets(earlier, dataset)
    if differ:
        raise MailError(
            f"--data {dataset.name}: is of another form than '{earlier.name}' ({'; '.join(differ)}). Expected a "
            "dataset of the same source."
        )


def _differences(old: Schema, new: Schema) -> list[str]:
    """What the schemas do not have in common."""
    found = []
    for what, here, there in (
        ("fields", [f.name for f in old.fields], [f.name for f in new.fields]),
        ("dense features", old.dense, new.dense),
        ("actions", old.actions, new.actions),
        ("labels", old.labels, new.labels),
    ):
        lacking, besides = [x for x in here if x not in there], [x for x in there if x not in here]
        found += [f"{what}: it lacks {quoted(dict.fromkeys(lacking))}"] if lacking else []
        found += [f"{what}: it has {quoted(dict.fromkeys(besides))} besides"] if besides else []
    return found or (["the same fields in another way"] if old != new else [])


def _other_buckets(old: Dataset, new: Dataset) -> list[str]:
    """The fields of schema files whose buckets have other ends, so that one id means two things."""
    here, there = (
        {**_edges(dataset), **dataset.manifest.get("mapping", {}).get("edges", {})} for dataset in (old, new)
    )
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    if not names:
        return []
    ends = "; ".join(f"{name}: edges = {list(here[name])}" for name in names if name in here)
    return [f"other buckets of {quoted(names)}; give them those of '{old.name}' in the schema file, {ends}"]


def _edges(dataset: Dataset) -> dict[str, list[float]]:
    """The ends of buckets that the dataset's schema file gives, by field."""
    mapping = tomllib.loads(dataset.manifest.get("mapping", {}).get("text", ""))
    tables = [mapping.get(table, {}).get(group, {}) for table, group in _FIELDS]
    fields = {name: told for table in tables for name, told in table.items()}
    return {name: told["edges"] for name, told in fields.items() if isinstance(told, dict) and "edges" in told}


def _check_kept(parent: Run) -> None:
    """Refuse a run that has no moments to go on with (MailError)."""
    from mailcli.models.factory import is_two_stage

    if is_two_stage(parent.config):
        raise MailError(
            f"{parent.folder}: '{parent.config.cold_start}' is fitted to a ranker that is trained already, so it has "
            f"nothing to go on with. Continue the run of {parent.config.baseline().cell} instead."
        )
    for path in (parent.weights, parent.optimizers):
        if not path.is_file():
            raise MailError(
                f"{path}: is missing, so the run cannot be gone on with (runs of older versions do not keep their "
                "optimizers). Train it again in another --runs folder."
            )


def _config(parent: Run, dataset: Dataset, changes: Mapping[str, Any]) -> RunConfig:
    """The run's settings with changes (MailError for one that cannot be changed)."""
    wrong = [key for key in changes if key not in CHANGEABLE]
    unknown = [key for key in wrong if key.partition(".")[0] not in {*vars(parent.config), *OPTION_TABLES}]
    if unknown:
        raise MailError("; ".join(f"unknown setting '{key}'.{did_you_mean(key, CHANGEABLE)}" for key in unknown))
    if wrong:
        raise MailError(
            f"--continue takes the settings of {parent.folder}: {quoted(wrong)} cannot be changed. What can: "
            f"{quoted(CHANGEABLE)}."
        )
    own: Options = {"data": dataset.name, "continues": file_sha256(parent.weights)}
    return make_config([to_toml(parent.config), own, changes])


def make_sheet(run: Run, parent: Path) -> Sheet:
    """Forgetting and gain: the metrics of both days before and after."""
    result = run.result or {}
    blocks: dict[str, list[list[str]]] = {}
    records = []
    for day, (shows, found) in enumerate(zip(_SHOWS, result["days"], strict=True), start=1):
        lines = []
        for users in TITLES:
            before, after = found["before"].get(users, {}), found["after"].get(users, {})
            pairs = {metric: (before.get(metric), after.get(metric)) for metric in _METRICS}
            if any(value is not None for pair in pairs.values() for value in pair):
                lines.append([TITLES[users], *(text for pair in pairs.values() for text in _texts(*pair))])
            records += [
                {
                    "day": day,
                    "shows": shows,
                    "dataset": found["dataset"],
                    "users": users,
                    "metric": metric,
                    **_numbers(*pair),
                }
                for metric, pair in pairs.items()
            ]
        blocks[f"{shows}: test of {found['dataset']}"] = lines
    config = run.config
    draw = f"protocol {config.protocol}, {config.new_share:.0%} of users new | seed {config.seed}"
    notes = (
        f"data {result['dataset']} | {draw}",
        f"before: {parent} as it was; ids that it does not know are unknown to it",
        f"after: {run.folder}",
        "forgetting: what the run now makes of the day that it was trained on before; gain: of the new day",
        "one seed: no interval over seeds, so no difference here is known to be significant",
    )
    head = ("", *(f"{metric} {when}".strip() for metric in _METRICS for when in ("before", "after", "difference")))
    return Sheet(f"{config.cell} on {config.data}", head, blocks, notes, records)


def _texts(before: float | None, after: float | None) -> list[str]:
    texts = ["-" if value is None else f"{value:.4f}".removeprefix("0") for value in (before, after)]
    if before is None or after is None:
        return [*texts, "-"]
    return [*texts, f"{after - before:+.4f}".replace("0.", ".", 1)]


def _numbers(before: float | None, after: float | None) -> dict[str, float | None]:
    known = before is not None and after is not None
    return {"before": before, "after": after, "difference": after - before if known else None}  # type: ignore[operator]
