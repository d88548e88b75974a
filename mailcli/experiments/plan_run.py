"""`mail run`: the tables of an experiment, planned and then made; of a grid, one table of all its worlds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mailcli.data.dataset import open_dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import RunFolders
from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.estimate import PlannedTable
from mailcli.experiments.grid import world_rows, worlds
from mailcli.experiments.matrix import make_rows
from mailcli.experiments.plan import Plan
from mailcli.reporting.map_table import map_table
from mailcli.reporting.result_layout import lay_out_with_audit
from mailcli.reporting.rows import Row
from mailcli.reporting.text_table import TextTable
from mailcli.reporting.worlds import WorldRows

logger = logging.getLogger(__name__)


class PlannedWorld(NamedTuple):
    """An experiment on one dataset, before its runs are trained."""

    plan: Plan
    table: PlannedTable


def plan_worlds(
    plan: Plan, data_dir: Path, runs: Path, seeds: int | None, data: str | None, overwrite: bool
) -> list[PlannedWorld]:
    """What an experiment needs, by dataset; missing datasets are made.

    Args:
        plan: the experiment.
        data_dir: folder of the datasets.
        runs: folder of the runs.
        seeds: the number of seeds; None for the experiment's.
        data: the name of another dataset than the experiment's; None for its own.
        overwrite: whether runs with other settings are replaced.

    Raises:
        MailError: a dataset cannot be made, or another one is named for a grid.
    """
    if plan.grid and data:
        raise MailError(f"--data {data}: {plan.path} has a grid, whose worlds are its datasets. Leave --data out.")
    planned = []
    for world in worlds(plan):
        dataset = open_dataset(data_dir, data) if data else prepare_dataset(world, data_dir)
        configs, shared = world.configs(dataset.name, dataset.history)
        table = PlannedTable(
            configs,
            world.seed_numbers(seeds),
            dataset,
            RunFolders(runs, shared, overwrite),
            world.baseline_of(configs),
            world.row_names(),
            grid=plan.path.as_posix() if plan.grid else "",
        )
        planned.append(PlannedWorld(world, table))
    return planned


def make_tables(
    plan: Plan, planned: Sequence[PlannedWorld], minutes: float | None, jobs: int | None, columns: Sequence[str]
) -> list[TextTable]:
    """Train the missing runs of an experiment and lay out its tables.

    Args:
        plan: the experiment.
        planned: the experiment by dataset.
        minutes: between two checkpoints; None for the default.
        jobs: the value of --jobs.
        columns: the metrics to show; the table of a grid has its own.

    Raises:
        MailError: a run cannot be made, or has failed; the others, of a grid those of all worlds, are finished by then.
        Interrupted: by Ctrl-C; what is done is kept.
    """
    if plan.grid:
        return [map_table(_make_worlds(planned, minutes, jobs), f"{plan.title}, simulated")]
    return [
        text
        for world, table in planned
        for result in world.tables(_make_rows(world, table, minutes, jobs), table.dataset.label, columns)
        for text in lay_out_with_audit(result)
    ]


def _make_worlds(planned: Sequence[PlannedWorld], minutes: float | None, jobs: int | None) -> list[WorldRows]:
    """The rows of all worlds; one that fails does not stop the others (MailError at the end)."""
    finished: list[WorldRows] = []
    failures: list[str] = []
    errors: list[MailError] = []
    for number, (world, table) in enumerate(planned, start=1):
        if not all(run.is_finished for run in table.runs()):
            logger.info(f"World {number} of {len(planned)}: {table.dataset.name}")
        try:
            finished.append(world_rows(world, _make_rows(world, table, minutes, jobs)))
        except MailError as error:
            failures.append(f"{table.dataset.name}: {error.message}")
            errors.append(error)
    if failures:
        count = f"{len(failures)} of {len(planned)} worlds failed."
        raise MailError(f"{count} {failures[0]}") from ExceptionGroup(count, errors)
    return finished


def _make_rows(plan: Plan, table: PlannedTable, minutes: float | None, jobs: int | None) -> list[Row]:
    return plan.name_rows(
        make_rows(
            table.configs, table.seeds, table.dataset, table.folders, minutes, jobs, baseline_of=table.baseline_of
        )
    )
