"""`mail compare`: the paper's Table 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli.cli._begin import DRY_RUN, print_plan
from mailcli.cli._completion import offer_list, row_names
from mailcli.cli._options import JOBS, OVERWRITE, RUN_OPTIONS, SEEDS
from mailcli.cli._paper_table import print_paper_table
from mailcli.cli._resolve import resolve_rows
from mailcli.cli._tables import COLUMNS, FORMAT, check_columns, check_form, split_names
from mailcli.reporting.paper import TABLE_2, TRIVIAL, row_settings


@click.command(short_help="The paper's Table 2: rankers with and without methods.")
@click.option(
    "--rows",
    default=",".join([*TRIVIAL, *TABLE_2]),
    show_default=True,
    shell_complete=offer_list(row_names),
    help="Rows of the table, separated by commas: the paper's names, trivial rows (`mail models` "
    "lists them), or ranker+method, e.g. din+cvae; either may be package.module:Class.",
)
@SEEDS
@JOBS
@DRY_RUN
@OVERWRITE
@FORMAT
@COLUMNS
@RUN_OPTIONS
def compare(
    rows: str,
    seeds: int,
    jobs: int | None,
    dry_run: bool,
    overwrite: bool,
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
    form: str,
    columns: str | None,
    **options: Any,
) -> None:
    """The paper's Table 2: rankers with and without cold-start methods; on Alimama, next to the paper's numbers.

    Trivial rows are shown above them. Missing runs are trained; every number comes from a run folder of its own. RI is
    relative to the same ranker without a method.
    """
    check_form(form, dry_run)
    metric_columns = check_columns(columns, dry_run)
    cells = []
    for name in split_names(rows):
        settings = row_settings(name)
        variant = settings.get("cold_start.variant")
        cell = {"ranker": settings["ranker"], "cold_start": settings["cold_start"], "variant": variant}
        if cell not in cells:
            cells.append(cell)
    configs, dataset = resolve_rows(cells, seeds, data_dir, options)
    from mailcli.experiments.cells import RunLayout
    from mailcli.experiments.plan import PlannedTable

    title, folders = "Comparison (MAIL Table 2)", RunLayout(runs, overwrite=overwrite)
    table = PlannedTable(configs, range(seeds), dataset, folders)
    if dry_run:
        print_plan([title], [table], jobs)
        return
    print_paper_table(table, f"{title} on {dataset.name}", form, metric_columns, checkpoint_minutes, jobs)
