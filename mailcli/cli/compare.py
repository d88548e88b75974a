"""The paper's Table 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import FORMAT, JOBS, SEEDS, check_form, print_tables, run_options, split_names
from mailcli.cli._resolve import resolve_rows
from mailcli.reporting.paper import REPORTED, TABLE_2, row_settings


@click.command(short_help="The paper's Table 2: rankers with and without methods.")
@click.option(
    "--rows",
    default=",".join(TABLE_2),
    show_default=True,
    help="Names of the paper's, or ranker+method, e.g. din+cvae; by comma.",
)
@SEEDS
@JOBS
@FORMAT
@run_options
def compare(
    rows: str,
    seeds: int,
    jobs: int | None,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    form: str,
    **options: Any,
) -> None:
    """The paper's Table 2: rankers with and without cold-start methods, the paper's numbers beside.

    What is missing is trained; every number comes from its own run folder. RI is against the same ranker alone.
    """
    check_form(form)
    chosen = []
    for name in split_names(rows):
        settings = row_settings(name)
        variant = settings.get("cold_start.variant")
        row = {"ranker": settings["ranker"], "cold_start": settings["cold_start"], "variant": variant}
        if row not in chosen:
            chosen.append(row)
    configs, dataset = resolve_rows(chosen, seeds, data_dir, options)
    from mailcli.experiments.matrix import make_rows
    from mailcli.reporting.tables import make_table

    made = make_rows(configs, range(seeds), dataset, runs, minutes, jobs)
    title = f"Comparison (MAIL Table 2) on {dataset.name}"
    print_tables([make_table(made, title, REPORTED)], form)
