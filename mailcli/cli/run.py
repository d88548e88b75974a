"""Whole experiments: files of experiments/ in, tables out."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import CHECKPOINTS, DATA_DIR, FORMAT, JOBS, RUNS, check_form, print_tables, watched


@click.command(short_help="Make the missing runs of an experiment; print its table.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--seeds", type=int, help="How many seeds, from 0. [default: the file's]")
@click.option("--data", metavar="NAME", help="Another dataset than the file's.")
@JOBS
@FORMAT
@CHECKPOINTS
@watched
@DATA_DIR
@RUNS
def run(
    files: tuple[Path, ...],
    seeds: int | None,
    data: str | None,
    jobs: int | None,
    form: str,
    minutes: float | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Make the runs of an experiment that are missing, and print its table.

    FILE is one of experiments/*.toml: a dataset, rows, seeds and settings. The dataset is made too if need be.
    Runs that are finished are reused, runs that were stopped go on.
    """
    check_form(form)
    from mailcli.data.dataset import open_dataset
    from mailcli.errors import MailError
    from mailcli.experiments.cells import RunFolders
    from mailcli.experiments.datasets import prepare_dataset
    from mailcli.experiments.matrix import make_rows
    from mailcli.experiments.plan import read_plan

    if seeds is not None and seeds < 1:
        raise MailError(f"--seeds is {seeds}. Expected 1 or more.")
    plans = [read_plan(path) for path in files]
    tables = []
    for plan in plans:
        dataset = open_dataset(data_dir, data) if data else prepare_dataset(plan, data_dir)
        configs, shared = plan.configs(dataset.name, dataset.history)
        folders = RunFolders(runs, shared)
        rows = make_rows(configs, range(seeds or plan.seeds), dataset, folders, minutes, jobs)
        tables += plan.tables(rows, dataset.label)
    print_tables(tables, form)
