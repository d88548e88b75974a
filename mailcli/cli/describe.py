"""`mail describe`: what a dataset holds."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import dataset_names
from mailcli.cli._options import DATA_DIR


@click.command()
@click.argument("dataset", required=False, shell_complete=dataset_names)
@DATA_DIR
def describe(dataset: str | None, data_dir: Path) -> None:
    """Show what a dataset holds."""
    from mailcli.data.dataset import open_dataset
    from mailcli.reporting.describe import print_description

    print_description(open_dataset(data_dir, dataset))
