"""The runs that tables need, before they are trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailcli import plugins
from mailcli.config import RunConfig, differences, to_toml
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.matrix import BaselineOf, run_memory, with_baselines
from mailcli.reporting.paper import row_label
from mailcli.runs.checkpoints import checkpoint_files
from mailcli.runs.folder import CHECKPOINTS, RESULT


@dataclass(frozen=True)
class PlannedRun:
    """A run of a network that a table needs, finished or not."""

    config: RunConfig
    dataset: Dataset
    folder: Path
    name: str
    """The name of its row."""
    grid: str = ""
    """The grid of its table; empty if it has none."""
    replaces_another: bool = False
    """Whether its folder holds a run with other settings, data or code, which it will replace."""

    @property
    def is_finished(self) -> bool:
        """Whether it need not be trained."""
        return (self.folder / RESULT).is_file() and not self.replaces_another

    @property
    def steps_done(self) -> int:
        """Steps up to the newest checkpoint of an interrupted run."""
        if self.replaces_another:
            return 0
        return max(checkpoint_files(self.folder / CHECKPOINTS), default=0)

    @property
    def cell_key(self) -> str:
        """The key of its cell, equal for all seeds; a cell is measured once."""
        return f"{self.dataset.folder} {self.config.without_seed().key}"

    @property
    def measured_as(self) -> str:
        """What has the same speed: in a grid the cells of all datasets, apart from the numbers of their impressions."""
        return f"{self.grid} {replace(self.config.without_seed(), data='').key}" if self.grid else self.cell_key


@dataclass(frozen=True)
class PlannedTable:
    """A table before its runs are trained: the arguments of `make_rows`."""

    configs: Sequence[RunConfig]
    seeds: Sequence[int]
    dataset: Dataset
    folders: RunLayout
    baseline_of: BaselineOf = RunConfig.baseline
    names: Sequence[str] = ()
    """The rows' names, in the order of `configs`; empty: rows are named by cell and options."""
    grid: str = ""
    """What it has in common with other tables that differ only in their dataset: a cell is measured in one of them;
    empty if there are none."""

    def runs(self) -> list[PlannedRun]:
        """The runs of networks, with baselines, in the order of their training; trivial rows are fitted before."""
        return [run for run in self.all_runs() if not plugins.is_trivial(run.config.ranker)]

    def all_runs(self) -> list[PlannedRun]:
        """As `runs`, with those of trivial rows."""
        names = {config.without_seed().key: name for config, name in zip(self.configs, self.names, strict=False)}
        return [
            PlannedRun(
                config,
                self.dataset,
                self.folders.folder_for(config) / config.run_path,
                names.get(config.without_seed().key) or row_label(config),
                self.grid,
                self.folders.replaces_another(config, self.dataset),
            )
            for config in with_baselines(self.configs, self.seeds, self.baseline_of)
        ]

    def check(self) -> None:
        """Refuse folders that hold runs with other settings, before anything is measured (MailError)."""
        for config in with_baselines(self.configs, self.seeds, self.baseline_of):
            self.folders.find(config, self.dataset)


def check_folders(tables: Iterable[PlannedTable]) -> None:
    """Refuse tables that need one folder for different runs (MailError)."""
    needed: dict[Path, PlannedRun] = {}
    for run in (run for table in tables for run in table.all_runs()):
        first_run = needed.setdefault(run.folder, run)
        changes = differences(to_toml(first_run.config), to_toml(run.config))
        if changes:
            raise MailError(
                f"{run.folder}: two of the experiments need it, with different settings ({'; '.join(changes)}). Run "
                "each with a --runs folder of its own."
            )


def largest_run_memory(tables: Iterable[PlannedTable]) -> int:
    """Bytes that the largest run of some tables takes; 0 if all rows are trivial."""
    return max((run_memory(run.config, run.dataset) for table in tables for run in table.runs()), default=0)


def missing_runs(tables: Sequence[PlannedTable]) -> list[PlannedRun]:
    """The runs to train, each once, even if several tables need it."""
    runs = {run.folder: run for table in tables for run in table.runs()}
    return [run for run in runs.values() if not run.is_finished]
