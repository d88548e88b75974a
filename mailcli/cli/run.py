"""`mail run`: whole experiments, files of experiments/ in, tables out."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._begin import DRY_RUN, announce_work, print_plan
from mailcli.cli._options import CHECKPOINTS, DATA_DIR, JOBS, OF_EXPERIMENT, OVERWRITE, RUNS, TRACKERS
from mailcli.cli._tables import COLUMNS, FORMAT, check_columns, check_form, print_text_tables
from mailcli.cli._types import PATH
from mailcli.cli._verbosity import LOG
from mailcli.errors import MailError


@click.command(short_help="Train the missing runs of an experiment and print its table.")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@OF_EXPERIMENT
@DRY_RUN
@OVERWRITE
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
    overwrite: bool,
    jobs: int | None,
    form: str,
    columns: str | None,
    checkpoint_minutes: float | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Train the missing runs of an experiment and print its table.

    FILE is one of experiments/*.toml: a dataset, rows, seeds and settings. The dataset is made if it is missing, also
    with --dry-run. An experiment with a grid runs in many simulated worlds, and its tables cover all of them. Finished
    runs are reused, interrupted ones are resumed. Before it begins, the command says how long it will take at most.
    """
    check_form(form, dry_run)
    metric_columns = check_columns(columns, dry_run)
    from mailcli.experiments.experiment_file import read_experiment
    from mailcli.experiments.experiment_run import make_tables, plan_worlds
    from mailcli.experiments.plan import check_folders

    experiments = [read_experiment(path).with_options(data, seeds) for path in files]
    if columns and any(experiment.grid for experiment in experiments):
        raise MailError("--columns: the table of a grid has columns of its own. Leave it out.")
    planned = [plan_worlds(experiment, data_dir, runs, overwrite) for experiment in experiments]
    needed = [world.table for worlds in planned for world in worlds]
    check_folders(needed)
    if dry_run:
        print_plan([world.experiment.title for worlds in planned for world in worlds], needed, jobs)
        return
    announce_work(needed, jobs)
    tables = [
        table
        for experiment, worlds in zip(experiments, planned, strict=True)
        for table in make_tables(experiment, worlds, checkpoint_minutes, jobs, metric_columns)
    ]
    print_text_tables(tables, form)
