"""`mail simulate`: raw files from a latent-interest model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import DATA_DIR
from mailcli.cli._output import print_line
from mailcli.cli._types import path_option


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--users", type=int, required=True, help="Number of users; the published files have 1,141,729.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Random seed: the same seed writes the same files."
)
@path_option("--out", text="Folder for the four files. [default: DATA_DIR/raw/SOURCE, where `mail preprocess` looks]")
@click.option(
    "--behaviors-per-user",
    type=float,
    default=100.0,
    show_default=True,
    help="Mean number of behaviors per user; the published files have 633.",
)
@click.option(
    "--attribute-strength",
    type=float,
    default=0.5,
    show_default=True,
    help="How much interests depend on user attributes, from 0 (not at all) to 1 (fully).",
)
@click.option(
    "--interactions",
    type=float,
    default=0.0,
    show_default=True,
    help="Share of the attributes' effect on interests that comes from their combinations, from 0 (single effects add "
    "up) to 1 (only combinations count).",
)
@click.option(
    "--clicks-per-category",
    type=float,
    default=202.0,
    show_default=True,
    help="Expected clicks per ad category; sets the number of categories. The published files have 202.",
)
@click.option(
    "--click-probability",
    type=float,
    default=0.0514,
    show_default=True,
    help="Mean click probability; 0.0514 is that of the published files.",
)
@click.option("--conversions", is_flag=True, help="Add a column `buy` to raw_sample, for rankers such as esmm.")
@DATA_DIR
def simulate(source: str, out: Path | None, data_dir: Path, **settings: Any) -> None:
    """Write raw files simulated by a latent-interest model. SOURCE is alimama."""
    from mailcli.simulation.alimama import check_source, simulate_alimama
    from mailcli.simulation.world import Settings

    check_source(source)
    out = out or data_dir / "raw" / source
    summary = simulate_alimama(Settings(**settings), out)
    print_line(
        f"{out}: {summary.impressions:,} impressions (CTR {summary.ctr:.2%}), {summary.behaviors:,} behaviors, "
        "simulated."
    )
    best = summary.ceilings
    if math.isnan(best.auc):
        print_line("All impressions of the test day have the same label, so there is no best possible AUC.")
        return
    # No user may have both classes on that day.
    gauc = "" if math.isnan(best.gauc) else f" (GAUC {best.gauc:.4f})"
    print_line(
        f"Best possible AUC on the test day: {best.auc:.4f} with the true click probability{gauc}, "
        f"{best.behavior_auc:.4f} from behavior and item, {best.attributes_auc:.4f} from attributes and item, "
        f"{best.item_auc:.4f} from the item alone."
    )
