"""`mail run`: whole experiments, files of experiments/ in, tables out."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import (
    CHECKPOINTS,
    COLUMNS,
    DATA_DIR,
    FORMAT,
    JOBS,
    PATH,
    RUNS,
    TRACKERS,
    check_columns,
    check_form,
    print_tables,
)
from mailcli.errors import MailError


@click.command(short_help="Train the missing runs of an experiment and print its table.")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option("--seeds", type=int, help="Number of seeds, starting from 0. [default: the file's]")
@click.option("--data", metavar="NAME", help="Dataset to use instead of the file's.")
@JOBS
@FORMAT
@COLUMNS
@CHECKPOINTS
@TRACKERS
@DATA_DIR
@RUNS
def run(
    files: tuple[Path, ...],
    seeds: int | None,
    data: str | None,
    jobs: int | None,
    form: str,
    columns: str | None,
    minutes: float | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Train the missing runs of an experiment and print its table.

    FILE is one of experiments/*.toml: a dataset, rows, seeds and settings. The dataset is made as well if it is
    missing. Finished runs are reused, interrupted ones are resumed.
    """
    check_form(form)
    shown = check_columns(columns)
    from mailcli.data.dataset import open_dataset
    from mailcli.experiments.cells import RunFolders
    from mailcli.experiments.datasets import prepare_dataset
    from mailcli.experiments.matrix import make_rows
    from mailcli.experiments.plan_file import read_plan

    if seeds is not None and seeds < 1:
        raise MailError(f"--seeds is {seeds}. Expected 1 or more.")
    plans = [read_plan(path) for path in files]
    tables = []
    for plan in plans:
        dataset = open_dataset(data_dir, data) if data else prepare_dataset(plan, data_dir)
        configs, shared = plan.configs(dataset.name, dataset.history)
        folders = RunFolders(runs, shared)
        baseline_of = plan.baseline_of(configs)
        rows = make_rows(configs, range(seeds or plan.seeds), dataset, folders, minutes, jobs, baseline_of=baseline_of)
        rows = plan.name_rows(rows)
        tables += plan.tables(rows, dataset.label, shown)
    print_tables(tables, form)
