"""A search of settings on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import COLD_START, RANKER, VARIANT, run_options
from mailcli.cli._resolve import resolve


@click.command(short_help="Search settings on the validation split.")
@COLD_START
@VARIANT
@click.option("--seed", type=int, help="Of the runs, and of the search. [default: 0]")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=VALUES",
    help="A setting to search: LOW..HIGH, log:LOW..HIGH, or A|B|C; repeatable.  [required]",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="How many in all.")
@click.option(
    "--users", default="all", show_default=True, help="Whose validation AUC is to be largest: 'all', 'new', 'old'."
)
@click.option("--name", default="search", show_default=True, help="Of the search, a folder in RUNS/tune.")
@RANKER
@run_options
def tune(
    cold_start: str | None,
    variant: str | None,
    seed: int | None,
    ranges: tuple[str, ...],
    trials: int,
    users: str,
    name: str,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    **options: Any,
) -> None:
    """Search settings on the validation split with Optuna; the test split is not read.

    A search that was stopped goes on when the command is given again, and --trials can be raised.
    """
    from mailcli.experiments.search_space import parse_ranges
    from mailcli.experiments.tuning import Search, run_search

    parsed = parse_ranges(ranges)
    config, dataset = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)
    found = run_search(Search(name, config, parsed, users), trials, dataset, runs, minutes)
    click.echo(f"{'trial':>5}  validation AUC ({users} users)  settings")
    for record in found[:10]:
        settings = " ".join(f"{key}={value}" for key, value in record.items() if key not in {"trial", "value"})
        click.echo(f"{record['trial']:>5}  {record['value']:<28.4f}  {settings}")
    best = " ".join(f"--set {key}={value}" for key, value in found[0].items() if key not in {"trial", "value"})
    click.echo(f"Best of {len(found)} on the validation split: {best}")
