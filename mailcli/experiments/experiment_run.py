"""`mail run`: the tables of an experiment, planned and then made; of a grid, the tables of all its worlds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mailcli.data.dataset import open_dataset
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.grid import world_rows, worlds
from mailcli.experiments.matrix import TableRuns, finished_rows, table_runs, train_missing
from mailcli.experiments.plan import PlannedTable
from mailcli.experiments.row_options import check_row_options
from mailcli.reporting.map_table import map_tables
from mailcli.reporting.result_layout import lay_out_with_audit
from mailcli.reporting.rows import Row
from mailcli.reporting.text_table import TextTable


class PlannedWorld(NamedTuple):
    """An experiment on one dataset, before its runs are trained."""

    experiment: Experiment
    table: PlannedTable


def plan_worlds(experiment: Experiment, data_dir: Path, runs: Path, overwrite: bool) -> list[PlannedWorld]:
    """What an experiment needs, by dataset; missing datasets are made.

    Args:
        experiment: the experiment.
        data_dir: folder of the datasets.
        runs: folder of the runs.
        overwrite: whether runs with other settings are replaced.

    Raises:
        MailError: a row has an option of a wrong value, or a dataset cannot be made.
    """
    planned = []
    all_worlds = worlds(experiment)
    check_row_options(all_worlds[0], runs)
    for world in all_worlds:
        dataset = open_dataset(data_dir, experiment.data) if experiment.data else prepare_dataset(world, data_dir)
        configs, shared = world.configs(dataset.name, dataset.history)
        table = PlannedTable(
            configs,
            world.seed_numbers(),
            dataset,
            RunLayout(runs, shared, overwrite),
            world.baseline_of(configs),
            world.labels_of(configs),
            grid=experiment.path.as_posix() if experiment.grid else "",
        )
        planned.append(PlannedWorld(world, table))
    return planned


def make_tables(
    experiment: Experiment,
    planned: Sequence[PlannedWorld],
    checkpoint_minutes: float | None,
    jobs: int | None,
    columns: Sequence[str],
) -> list[TextTable]:
    """Train the missing runs of an experiment and lay out its tables.

    Args:
        experiment: the experiment.
        planned: the experiment by dataset.
        checkpoint_minutes: between two checkpoints; None for the default.
        jobs: the value of --jobs.
        columns: the metrics to show; the table of a grid has its own.

    Raises:
        MailError: a run cannot be made, or has failed; the others, of all worlds, are finished by then.
        Interrupted: by Ctrl-C; what is done is kept.
    """
    runs_by_world = [_table_runs(world) for world in planned]
    train_missing(runs_by_world, checkpoint_minutes, jobs)
    rows = [_rows(world, runs) for world, runs in zip(planned, runs_by_world, strict=True)]
    if experiment.grid:
        of_worlds = [world_rows(world.experiment, own) for world, own in zip(planned, rows, strict=True)]
        return map_tables(of_worlds, f"{experiment.title}, simulated")
    return [
        text
        for world, own in zip(planned, rows, strict=True)
        for result in world.experiment.tables(own, world.table.dataset.display_name, columns)
        for text in lay_out_with_audit(result)
    ]


def _table_runs(world: PlannedWorld) -> TableRuns:
    table = world.table
    return table_runs(table.configs, table.seeds, table.dataset, table.folders, table.baseline_of)


def _rows(world: PlannedWorld, runs: TableRuns) -> list[Row]:
    table = world.table
    return world.experiment.name_rows(finished_rows(runs, table.configs, table.seeds, table.baseline_of))
