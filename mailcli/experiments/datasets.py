"""The dataset that a plan needs: found, made from raw files, or simulated."""

from __future__ import annotations

from pathlib import Path

from mailcli.data.dataset import Dataset, dataset_names, open_dataset
from mailcli.errors import MailError
from mailcli.experiments.plan import Plan
from mailcli.preprocessing.pipeline import Options as PreprocessOptions
from mailcli.preprocessing.pipeline import preprocess
from mailcli.preprocessing.schema_file.read import read_schema_file
from mailcli.preprocessing.simulated_marker import MARKER
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings


def dataset_of(plan: Plan, data_dir: Path) -> Dataset:
    """The dataset of an experiment: made from raw files where they are, otherwise simulated if the plan says so.

    Raises:
        MailError: it cannot be made; or one of that name was simulated with other settings.
    """
    if plan.schema:
        return _by_schema(plan, plan.schema, data_dir)
    raw = data_dir / "raw" / plan.source
    if not plan.simulate or _is_real(raw):
        return (
            open_dataset(data_dir, plan.source)
            if plan.source in dataset_names(data_dir)
            else _made(plan.source, raw, data_dir)
        )
    settings = {key: value for key, value in plan.simulate.items() if key != "name"}
    name = plan.simulate["name"]
    if name not in dataset_names(data_dir):
        raw = data_dir / "raw" / name
        if not (raw / MARKER).is_file():
            simulate_alimama(Settings(**settings), raw)
        _made(plan.source, raw, data_dir, name)
    dataset = open_dataset(data_dir, name)
    found = dataset.simulation or {}
    differ = [f"{key}: {found.get(key)} -> {value}" for key, value in settings.items() if found.get(key) != value]
    if differ:
        raise MailError(
            f"{dataset.folder}: is not the dataset that {plan.path} asks for ({'; '.join(differ)}). Delete it and "
            f"{data_dir / 'raw' / name}, or give the plan's dataset another name."
        )
    return dataset


def _by_schema(plan: Plan, schema: Path, data_dir: Path) -> Dataset:
    """The dataset of a schema file, made from data/raw/NAME unless it is there."""
    name = schema.stem
    if name not in dataset_names(data_dir):
        return preprocess("tabular", data_dir / "raw" / name, data_dir, name, PreprocessOptions(schema=schema))
    dataset = open_dataset(data_dir, name)
    if dataset.manifest.get("mapping", {}).get("text") != read_schema_file(schema).text:
        raise MailError(
            f"{dataset.folder}: is not the dataset that {plan.path} asks for: it was made by another {schema}. "
            "Delete it, or give the schema file another name."
        )
    return dataset


def _is_real(raw: Path) -> bool:
    """Whether a folder holds raw files that no simulator wrote."""
    return any(raw.glob("*.csv*")) and not (raw / MARKER).is_file()


def _made(source: str, raw: Path, data_dir: Path, name: str | None = None) -> Dataset:
    return preprocess(source, raw, data_dir, name)
