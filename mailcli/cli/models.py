"""What can be trained."""

from __future__ import annotations

import click


@click.command(short_help="List the rankers and cold-start methods.")
def models() -> None:
    """The rankers and cold-start methods, one line each: any of the first goes with any of the second."""
    from mailcli.reporting.describe import print_models

    print_models()
