"""`mail tune`: a hyperparameter search on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import COLD_START, RANKER, RUN_OPTIONS, VARIANT
from mailcli.cli._output import print_line
from mailcli.cli._resolve import resolve


@click.command(short_help="Search for the best settings on the validation split.")
@COLD_START
@VARIANT
@click.option("--seed", type=int, help="Random seed of the runs and the search. [default: 0]")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=VALUES",
    help="A setting to search over: LOW..HIGH, log:LOW..HIGH, or A|B|C; repeatable.  [required]",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Total number of trials.")
@click.option(
    "--users",
    default="all",
    show_default=True,
    help="Users whose validation AUC is maximized: 'all', 'new' or 'old'.",
)
@click.option("--name", default="search", show_default=True, help="Name of the search, and of its folder in RUNS/tune.")
@RANKER
@RUN_OPTIONS
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
    """Search for the best settings on the validation split with Optuna; the test split is not read.

    To resume an interrupted search, run the same command; --trials may be raised.
    """
    from mailcli.experiments.search_space import parse_ranges
    from mailcli.experiments.tuning import Search, run_search

    parsed = parse_ranges(ranges)
    config, dataset = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)
    records = run_search(Search(name, config, parsed, users), trials, dataset, runs, minutes)
    print_line(f"{'trial':>5}  validation AUC ({users} users)  settings")
    for record in records[:10]:
        print_line(f"{record['trial']:>5}  {record['value']:<28.4f}  {' '.join(_pairs(record))}")
    best = " ".join(f"--set {pair}" for pair in _pairs(records[0]))
    print_line(f"Best of {len(records)} on the validation split: {best}")


def _pairs(record: dict[str, Any]) -> list[str]:
    """The settings of a trial as `KEY=VALUE`."""
    return [f"{key}={value}" for key, value in record.items() if key not in {"trial", "value"}]
