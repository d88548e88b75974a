"""Finished runs, scored anew."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from mailcli.cli._options import DATA_DIR, FORMAT, RUNS, THREADS, check_form, print_tables
from mailcli.errors import MailError

logger = logging.getLogger(__name__)


@click.command(short_help="Score the test split of finished runs anew.")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN ...]")
@click.option(
    "--bootstrap",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Draw the test's users N times, e.g. 1000, and show 95% intervals over users beside AUC and GAUC.",
)
@THREADS
@FORMAT
@DATA_DIR
@RUNS
def evaluate(folders: tuple[Path, ...], bootstrap: int, form: str, data_dir: Path, runs: Path) -> None:
    """Score the test split anew with the best checkpoint of each RUN (all finished ones by default)."""
    from mailcli.data.dataset import dataset_names
    from mailcli.metrics.bootstrap import check_draws
    from mailcli.training.run_registry import finished_runs, open_run

    check_draws(bootstrap)
    check_form(form)
    chosen = [open_run(folder) for folder in folders]
    if not folders:
        known = dataset_names(data_dir)
        for run in finished_runs(runs):
            if run.config.data in known:
                chosen.append(run)
            else:
                logger.warning(f"{run.folder}: left out, {data_dir} has no dataset '{run.config.data}'.")
        if not chosen:
            raise MailError(
                f"{data_dir}: holds none of the datasets of the runs in {runs}. Make one with `mail preprocess`."
            )
    from mailcli.reporting.rescore import rescore
    from mailcli.reporting.tables import make_table

    scored = rescore(chosen, data_dir, bootstrap)
    tables = [make_table(rows, f"Test metrics on {rows[0].config.data}") for rows in scored]
    print_tables(tables, form)
