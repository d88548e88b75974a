"""`mail models`: what can be trained."""

from __future__ import annotations

import click


@click.command(short_help="List the rankers and cold-start methods.")
def models() -> None:
    """List the rankers and cold-start methods; every ranker works with every method."""
    from mailcli.reporting.describe import print_models

    print_models()
