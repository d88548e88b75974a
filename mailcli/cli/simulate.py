"""Raw files from a latent-interest model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli.errors import MailError, did_you_mean


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--users", type=int, required=True, help="Users; the published files have 1,141,729.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Decides everything: the same seed writes the same files."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the four files, e.g. data/raw/alimama.",
)
@click.option(
    "--behaviors-per-user",
    type=float,
    default=100.0,
    show_default=True,
    help="Mean; the published files have 633.",
)
@click.option(
    "--attribute-strength",
    type=float,
    default=0.5,
    show_default=True,
    help="How much interests depend on attributes: 0 not at all, 1 fully.",
)
@click.option("--conversions", is_flag=True, help="Add a column `buy` to raw_sample, for rankers such as esmm.")
def simulate(source: str, out: Path, **settings: Any) -> None:
    """Write raw files from a latent-interest model. SOURCE is alimama."""
    if source != "alimama":
        raise MailError(f"unknown form '{source}'.{did_you_mean(source, ['alimama'])} Known: 'alimama'.")
    from mailcli.simulation.alimama import simulate_alimama
    from mailcli.simulation.world import Settings

    done = simulate_alimama(Settings(**settings), out)
    click.echo(
        f"{out}: {done.impressions:,} impressions (CTR {done.ctr:.2%}), {done.behaviors:,} behaviors, simulated."
    )
    click.echo(
        f"Ceiling: the true click probability reaches AUC {done.ceiling_auc:.4f}, GAUC {done.ceiling_gauc:.4f} "
        "on the test day."
    )
