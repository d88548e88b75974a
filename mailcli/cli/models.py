"""`mail models`: what can be trained."""

from __future__ import annotations

import click


@click.command(short_help="List the rankers, cold-start methods and trivial rows.")
def models() -> None:
    """List the rankers, cold-start methods and trivial rows.

    Every ranker works with every method. A trivial row is fitted without a network, and has no method.
    """
    from mailcli.reporting.model_list import print_models

    print_models()
