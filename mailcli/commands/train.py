"""One cell, trained and evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli import plugins
from mailcli.config import VARIANTS
from mailcli.errors import choices
from mailcli.options import FORMAT, RANKER, check_form, print_tables, resolve, run_options


@click.command()
@click.option(
    "--cold-start",
    metavar="NAME",
    help=f"Cold-start method: {choices(plugins.names(plugins.COLD_STARTS))}, or package.module:Class. [default: none]",
)
@click.option("--variant", metavar="NAME", help=f"MAIL's zero-shot tower: {choices(VARIANTS)}. [default: base]")
@click.option("--seed", type=int, help="Decides new users, initialisation, order and dropout. [default: 0]")
@RANKER
@FORMAT
@run_options
def train(
    cold_start: str | None,
    variant: str | None,
    seed: int | None,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    form: str,
    **options: Any,
) -> None:
    """Train a ranker with a cold-start method, evaluate it on test, print the table.

    The same ranker alone is trained too, or reused, so that RI can be shown. A finished run is reused.
    """
    check_form(form)
    config, store = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)
    from mailcli.matrix import make_rows
    from mailcli.tables import make_table

    configs = [config] if config.cold_start == "none" else [config.baseline(), config]
    # One after the other, on all cores.
    rows = make_rows(configs, [config.seed], store, runs, minutes, jobs=1)
    print_tables([make_table(rows, f"{config.cell} on {config.data}")], form)
