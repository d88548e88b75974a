"""`mail describe`: what a dataset holds."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import complete_datasets
from mailcli.cli._options import DATA_DIR, refuse_empty_name


@click.command(short_help="Show what a dataset holds.")
@click.argument("dataset", required=False, shell_complete=complete_datasets, callback=refuse_empty_name)
@DATA_DIR
def describe(dataset: str | None, data_dir: Path) -> None:
    """Show what a dataset holds: without a name the only one, or the one used or made last."""
    from mailcli.data.last_used import open_chosen, remember
    from mailcli.reporting.describe import print_description

    chosen = open_chosen(data_dir, dataset, "`mail describe NAME` shows another")
    print_description(chosen)
    remember(chosen)
