"""`mail evaluate`: the test metrics of finished runs, recomputed."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._known import parse_known
from mailcli.cli._options import DATA_DIR, RUNS, TABLE_MEMORY, THREADS
from mailcli.cli._tables import COLUMNS, FORMAT, check_columns, check_form, print_tables, print_text_tables
from mailcli.cli._types import PATH
from mailcli.errors import MailError


@click.command(short_help="Recompute the test metrics of finished runs.")
@click.argument("folders", nargs=-1, type=PATH, metavar="[RUN ...]", shell_complete=complete_runs)
@click.option(
    "--bootstrap",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Bootstrap the test users N times, e.g. 1000, and show 95% intervals next to AUC and GAUC.",
)
@click.option(
    "--known",
    metavar="N,...",
    help="Instead, measure AUC and GAUC of the new users when only their last N behaviors are given back, e.g. "
    "0,1,2,5,10,30.",
)
@THREADS
@TABLE_MEMORY
@FORMAT
@COLUMNS
@DATA_DIR
@RUNS
def evaluate(
    folders: tuple[Path, ...],
    bootstrap: int,
    known: str | None,
    form: str,
    columns: str | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Score the test split again with the best checkpoint of each RUN, by default of all finished runs.

    RUN is a run's folder, or one that holds runs, e.g. of a dataset or a cell. A run that is damaged, whose dataset has
    been made again or whose custom ranker or method has changed is refused; among the runs of a folder it is skipped
    with a warning.
    """
    from mailcli.metrics.bootstrap import check_draws
    from mailcli.runs.selection import runs_to_score

    check_draws(bootstrap)
    check_form(form)
    metric_columns = check_columns(columns)
    known_counts = None if known is None else parse_known(known)
    if known_counts is not None and bootstrap:
        raise MailError("--known has no intervals over users. Leave out --bootstrap or --known.")
    if known_counts is not None and columns is not None:
        raise MailError("--known shows AUC and GAUC of new users only. Leave out --columns, or --known.")
    chosen = runs_to_score(folders, runs, data_dir)
    if known_counts is not None:
        from mailcli.reporting.warm_up_table import warm_up_tables

        print_text_tables(warm_up_tables(chosen, data_dir, known_counts), form)
        return
    from mailcli.reporting.captions import table_titles
    from mailcli.reporting.rescore import rescore
    from mailcli.reporting.tables import make_table

    tables = rescore(chosen, data_dir, bootstrap)
    titles = table_titles([("Test metrics", [row.config for row in rows]) for rows in tables])
    titled = zip(tables, titles, strict=True)
    print_tables([make_table(rows, title, columns=metric_columns) for rows, title in titled], form)
