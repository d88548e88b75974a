"""`mail ablate`: the paper's Table 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli import plugins
from mailcli.cli._begin import DRY_RUN, print_plan
from mailcli.cli._completion import offer_list
from mailcli.cli._options import JOBS, OVERWRITE, RANKER, RUN_OPTIONS, SEEDS
from mailcli.cli._paper_table import print_paper_table
from mailcli.cli._resolve import resolve_rows
from mailcli.cli._tables import COLUMNS, FORMAT, check_columns, check_form, split_names
from mailcli.config import VARIANTS
from mailcli.errors import MailError, quoted


@click.command(short_help="The paper's Table 3: a ranker with each variant of MAIL.")
@click.option(
    "--variants",
    default=",".join(VARIANTS),
    show_default=True,
    shell_complete=offer_list(lambda: VARIANTS),
    help="Variants of MAIL to compare, separated by commas.",
)
@SEEDS
@JOBS
@DRY_RUN
@OVERWRITE
@RANKER
@FORMAT
@COLUMNS
@RUN_OPTIONS
def ablate(
    variants: str,
    seeds: int,
    jobs: int | None,
    dry_run: bool,
    overwrite: bool,
    data_dir: Path,
    runs: Path,
    ranker: str | None,
    checkpoint_minutes: float | None,
    form: str,
    columns: str | None,
    **options: Any,
) -> None:
    """The paper's Table 3: a ranker without and with each variant of MAIL; on Alimama, next to the paper's numbers."""
    check_form(form, dry_run)
    metric_columns = check_columns(columns, dry_run)
    from mailcli.experiments.cells import RunLayout, check_variant

    names = list(dict.fromkeys(split_names(variants)))
    for name in names:
        check_variant(name)
    if ranker and plugins.is_trivial(ranker):
        rankers = quoted(plugins.names(plugins.RANKERS))
        raise MailError(f"--ranker {ranker}: is a trivial row, which MAIL cannot help. Expected a ranker: {rankers}.")
    cells = [{"ranker": ranker, "cold_start": "mail", "variant": name} for name in names]
    configs, dataset = resolve_rows(cells, seeds, data_dir, options, has_ranker=True)
    from mailcli.experiments.plan import PlannedTable

    configs = [configs[0].baseline(), *configs]
    title, folders = "Ablation (MAIL Table 3)", RunLayout(runs, overwrite=overwrite)
    table = PlannedTable(configs, range(seeds), dataset, folders)
    if dry_run:
        print_plan([title], [table], jobs)
        return
    title = f"{title} on {dataset.name}, ranker {configs[0].ranker}"
    print_paper_table(table, title, form, metric_columns, checkpoint_minutes, jobs)
