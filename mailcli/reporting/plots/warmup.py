"""AUC against the number of known behaviors of a user: where does "new" end?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mailcli.metrics.statistics import estimate
from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import COLUMN, add_legend, add_title, caption, group_by_cell, labeled, line_style
from mailcli.reporting.warm_up import WarmUp, measure_warm_up
from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Distance between two rows at a number of behaviors (ours: markers stay apart), as far as all of them fit.
LARGEST_STEP = 0.05
#: Numbers of known behaviors (ours: denser where the first ones count).
KNOWN = (0, 1, 2, 5, 10, 20, 50, 100)


class Plot(RunFigures):
    """AUC of new users when their most recent 0, 1, 2, 5, 10, ... behaviors are given back."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A line per cell: the mean over seeds with its 95% interval, on the same impressions at every number."""
        from matplotlib.figure import Figure

        title = caption(runs)
        lines = []
        for cell, group in group_by_cell(runs):
            known = [count for count in KNOWN if count <= min(run.config.history for run in group)]
            lines.append((cell, [measure_warm_up(run, data_dir, known) for run in group]))
        figure = Figure(figsize=(COLUMN * 1.4, 3.0), layout="constrained")
        draw_warm_up(figure, lines, title)
        return {"warmup": figure}


def draw_warm_up(figure: Figure, rows: Sequence[tuple[str, Sequence[WarmUp]]], title: str) -> None:
    """Draw what some rows were measured to be into an empty figure.

    Args:
        figure: empty.
        rows: labels, and the measurements by seed.
        title: above the axes.
    """
    axis = figure.subplots()
    longest: list[int] = []
    # Rows stand beside each other, and nearer to their number than to the next.
    step = min(LARGEST_STEP, 0.6 / len(rows))
    for number, (label, by_seed) in enumerate(rows):
        known = list(by_seed[0].metrics)
        longest = max(longest, known, key=len)
        estimates = [estimate([warm_up.metrics[count]["AUC"] for warm_up in by_seed]) for count in known]
        places, means = (
            np.arange(len(known)) + (number - (len(rows) - 1) / 2) * step,
            [mean for mean, _, _ in estimates],
        )
        style, half_widths = line_style(number), [half or 0 for _, _, half in estimates]
        axis.errorbar(places, means, yerr=half_widths, fmt="none", ecolor=style["color"], linewidth=1)
        # By itself, so that the legend shows the row's mark.
        axis.plot(places, means, markersize=3, linewidth=1, label=label, **style)
    axis.set_xticks(range(len(longest)), [str(count) for count in longest])
    axis.set(xlabel="known behaviors of a new user", ylabel="AUC")
    add_legend(figure, labeled([axis]))
    add_title(figure, title)
