"""A run that a table needs: reused where it is finished, trained where it is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mailcli import plugins
from mailcli.config import Options, RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import find_run
from mailcli.utils.tensorflow_startup import load_tensorflow


@dataclass(frozen=True)
class Folders:
    """Where the runs of a table are.

    Rows of one cell that differ by a setting have the same place in a folder of runs, so each has a folder of its own.
    """

    runs: Path
    shared: RunConfig | None = None
    """The settings that the rows share; None where all rows have the same."""

    def of(self, config: RunConfig) -> Path:
        """The folder of runs for a config: `runs`, or one in it named by what differs from the shared settings."""
        own = _own_settings(config, self.shared) if self.shared else []
        return self.runs / ",".join(own) if own else self.runs


def complete(layers: Iterable[Options], data: str, history: int) -> RunConfig:
    """The checked config of a run on a dataset, MAIL's variant written out.

    Args:
        layers: settings, later ones winning.
        data: the dataset's name.
        history: n_v of the dataset: one with fewer than the default is used as it is, unless more is asked for.

    Raises:
        MailError: a name or value is not known.
    """
    layers = [{"data": data, "history": min(RunConfig.history, history)}, *layers, {"data": data}]
    config = make_config(layers)
    plugins.check(plugins.RANKERS, config.ranker)
    plugins.check(plugins.COLD_STARTS, config.cold_start)
    if config.cold_start == "mail" and "variant" not in config.cold_start_options:
        # So that the default and `--variant base` are one cell.
        config = make_config([*layers, {"cold_start.variant": "base"}])
    return config


def _own_settings(config: RunConfig, shared: RunConfig) -> list[str]:
    """`key=value` of what a row sets besides its cell and seed."""
    cell = {"ranker", "cold_start", "seed"}
    found = []
    for key, value in vars(config).items():
        if isinstance(value, dict):
            options = value.items() - vars(shared)[key].items()
            kind = key.removesuffix("_options")
            found += sorted(f"{kind}.{name}={option}" for name, option in options if name != "variant")
        elif key not in cell and value != vars(shared)[key]:
            found.append(f"{key}={value}")
    return found


def ensure(config: RunConfig, dataset: Dataset, runs: Path | Folders, minutes: float | None = None) -> Run:
    """The finished run of a config, trained if need be; `minutes` between checkpoints, None for the default."""
    folders = runs if isinstance(runs, Folders) else Folders(runs)
    run = find_run(folders.of(config), config, dataset)
    if run.result is None:
        # TensorFlow takes seconds to import, and a table of finished runs does not need it.
        load_tensorflow()
        from mailcli.models.factory import is_two_stage
        from mailcli.training.train import CHECKPOINT_MINUTES, train

        baseline = ensure(config.baseline(), dataset, folders, minutes) if is_two_stage(config) else None
        train(run, dataset, baseline, CHECKPOINT_MINUTES if minutes is None else minutes)
    return run
