"""The paper's Table 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import FORMAT, JOBS, RANKER, SEEDS, check_form, print_tables, run_options, split_names
from mailcli.cli._resolve import resolve_rows
from mailcli.config import VARIANTS
from mailcli.reporting.paper import REPORTED


@click.command(short_help="The paper's Table 3: a ranker with each variant of MAIL.")
@click.option("--variants", default=",".join(VARIANTS), show_default=True, help="Which zero-shot towers, by comma.")
@SEEDS
@JOBS
@RANKER
@FORMAT
@run_options
def ablate(
    variants: str,
    seeds: int,
    jobs: int | None,
    data_dir: Path,
    runs: Path,
    ranker: str | None,
    minutes: float | None,
    form: str,
    **options: Any,
) -> None:
    """The paper's Table 3: the ranker alone and with each variant of MAIL, the paper's numbers beside."""
    check_form(form)
    from mailcli.experiments.cells import check_variant

    chosen = list(dict.fromkeys(split_names(variants)))
    for name in chosen:
        check_variant(name)
    rows = [{"ranker": ranker, "cold_start": "mail", "variant": name} for name in chosen]
    configs, dataset = resolve_rows(rows, seeds, data_dir, options)
    from mailcli.experiments.matrix import make_rows
    from mailcli.reporting.tables import make_table

    made = make_rows([configs[0].baseline(), *configs], range(seeds), dataset, runs, minutes, jobs)
    title = f"Ablation (MAIL Table 3) on {dataset.name}, ranker {configs[0].ranker}"
    print_tables([make_table(made, title, REPORTED)], form)
