"""The dataset that an experiment needs: the one on disk, or a new one from raw or simulated files."""

from __future__ import annotations

from pathlib import Path

from mailcli.data.dataset import Dataset, dataset_names, open_dataset
from mailcli.data.writer import check_target
from mailcli.errors import MailError, errors_at
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.simulate_file import simulator_settings
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.schema_file.read import read_schema_file
from mailcli.preprocessing.simulated_marker import MARKER, simulated_files
from mailcli.preprocessing.source_options import TABULAR
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings


def prepare_dataset(experiment: Experiment, data_dir: Path) -> Dataset:
    """The dataset of an experiment, preprocessed if need be.

    That of the source if it was made from real data or its raw files are there; otherwise a simulated one, if the
    experiment says how to simulate it.

    Raises:
        MailError: it cannot be made; or the dataset of that name was made from other settings.
    """
    if experiment.schema:
        return _from_schema(experiment, experiment.schema, data_dir)
    raw = data_dir / "raw" / experiment.source
    name, chosen = experiment.datasets[0], experiment.source_options
    if experiment.is_world or (experiment.simulate and not (_is_real(name, data_dir) or _holds_real_files(raw))):
        return _simulated(experiment, data_dir)
    if name in dataset_names(data_dir):
        return open_dataset(data_dir, name)
    options = PreprocessOptions(label=chosen.get("label"), test=chosen.get("test"))
    return preprocess(experiment.source, raw, data_dir, None, options)


def _simulated(experiment: Experiment, data_dir: Path) -> Dataset:
    """The simulated dataset of an experiment (MailError if it was simulated with other settings)."""
    settings = simulator_settings(experiment.simulate)
    name = experiment.simulate["name"]
    raw = data_dir / "raw" / name
    if name not in dataset_names(data_dir):
        _check_name(experiment, name, data_dir)
        if not (raw / MARKER).is_file():
            with errors_at(f"{experiment.path}: [simulate]"):
                simulate_alimama(Settings(**settings), raw)
        preprocess(experiment.source, raw, data_dir, name)
    dataset = open_dataset(data_dir, name)
    actual = dataset.simulation or {}
    differ = [f"{key}: {actual.get(key)} -> {value}" for key, value in settings.items() if actual.get(key) != value]
    if differ:
        raise MailError(
            f"{dataset.folder}: is not the dataset that {experiment.path} asks for ({'; '.join(differ)}). Delete it "
            f"and {raw}, or give the experiment's dataset another name."
        )
    if experiment.is_world:
        _delete_simulated_files(raw)
    return dataset


def _check_name(experiment: Experiment, name: str, data_dir: Path) -> None:
    """Refuse a name that cannot be a dataset's before files are written to a folder of that name (MailError)."""
    with errors_at(f"{experiment.path}: simulate.name"):
        check_target(data_dir, name)


def _delete_simulated_files(raw: Path) -> None:
    """Delete what the simulator wrote, if it is still there: a grid has many worlds, and each is made again if needed.

    The note about the files goes last, so that a kill in between is made up for.
    """
    if not (raw / MARKER).is_file():
        return
    for path in simulated_files(raw):
        path.unlink(missing_ok=True)
    (raw / MARKER).unlink()
    if not any(raw.iterdir()):
        raw.rmdir()


def _from_schema(experiment: Experiment, schema: Path, data_dir: Path) -> Dataset:
    """The dataset of a schema file, preprocessed from data/raw/NAME unless it exists."""
    name = schema.stem
    if name not in dataset_names(data_dir):
        return preprocess(TABULAR, data_dir / "raw" / name, data_dir, name, PreprocessOptions(schema=schema))
    dataset = open_dataset(data_dir, name)
    if dataset.manifest.get("mapping", {}).get("text") != read_schema_file(schema).text:
        raise MailError(
            f"{dataset.folder}: is not the dataset that {experiment.path} asks for: it was made with another version "
            f"of {schema}. Delete it, or give the schema file another name."
        )
    return dataset


def _is_real(name: str, data_dir: Path) -> bool:
    """Whether there is a dataset of that name that was not simulated."""
    return name in dataset_names(data_dir) and open_dataset(data_dir, name).simulation is None


def _holds_real_files(raw: Path) -> bool:
    """Whether a folder holds raw files that do not come from the simulator."""
    return any(raw.glob("*.csv*")) and not (raw / MARKER).is_file()
