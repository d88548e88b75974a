"""`mail run`: whole experiments, files of experiments/ in, tables out."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import dataset_names
from mailcli.cli._options import (
    CHECKPOINTS,
    COLUMNS,
    DATA_DIR,
    FORMAT,
    JOBS,
    LOG,
    PATH,
    RUNS,
    TRACKERS,
    check_columns,
    check_form,
    print_tables,
)
from mailcli.cli._output import print_line
from mailcli.errors import MailError


@click.command(short_help="Train the missing runs of an experiment and print its table.")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option("--seeds", type=int, help="Number of seeds, starting from 0. [default: the file's]")
@click.option("--data", metavar="NAME", shell_complete=dataset_names, help="Dataset to use instead of the file's.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Train nothing: print which runs are finished and which are missing, and how long these take at most. A "
    "missing dataset is made.",
)
@JOBS
@FORMAT
@COLUMNS
@CHECKPOINTS
@TRACKERS
@LOG
@DATA_DIR
@RUNS
def run(
    files: tuple[Path, ...],
    seeds: int | None,
    data: str | None,
    dry_run: bool,
    jobs: int | None,
    form: str,
    columns: str | None,
    minutes: float | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Train the missing runs of an experiment and print its table.

    FILE is one of experiments/*.toml: a dataset, rows, seeds and settings. The dataset is made as well if it is
    missing. Finished runs are reused, interrupted ones are resumed. Before it begins, the command says how long it will
    take at most.
    """
    check_form(form)
    shown = check_columns(columns)
    from mailcli.data.dataset import open_dataset
    from mailcli.experiments.cells import RunFolders
    from mailcli.experiments.datasets import prepare_dataset
    from mailcli.experiments.dry_run import describe
    from mailcli.experiments.estimate import PlannedTable, announce
    from mailcli.experiments.matrix import make_rows
    from mailcli.experiments.plan_file import read_plan

    if seeds is not None and seeds < 1:
        raise MailError(f"--seeds is {seeds}. Expected 1 or more.")
    plans = [read_plan(path) for path in files]
    planned = []
    for plan in plans:
        dataset = open_dataset(data_dir, data) if data else prepare_dataset(plan, data_dir)
        configs, shared = plan.configs(dataset.name, dataset.history)
        cells = (configs, range(seeds or plan.seeds), dataset, RunFolders(runs, shared))
        planned.append(PlannedTable(*cells, plan.baseline_of(configs), plan.row_names()))
    if dry_run:
        for line in describe([plan.title for plan in plans], planned, jobs):
            print_line(line)
        return
    announce(planned, jobs)
    tables = []
    for plan, table in zip(plans, planned, strict=True):
        rows = make_rows(
            table.configs, table.seeds, table.dataset, table.folders, minutes, jobs, baseline_of=table.baseline_of
        )
        tables += plan.tables(plan.name_rows(rows), table.dataset.label, shown)
    print_tables(tables, form)
