"""RI with intervals for every row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailcli.errors import MailError
from mailcli.reporting.plots._style import COLORS, MARKERS, PAGE, by_cell, caption
from mailcli.reporting.rows import Row, row_of
from mailcli.reporting.tables import METRICS, TITLES, make_table
from mailcli.training.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Plot:
    """RI of AUC and GAUC against the ranker alone, with 95 % intervals over seeds, for each row."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A panel per metric, a line per row, a mark per group of users; filled where the difference is significant."""
        del data_dir
        rows = [row_of([(run, run.result or {}) for run in group]) for _, group in by_cell(runs)]
        return {"forest": forest(rows, caption(runs))}


def forest(rows: Sequence[Row], said: str) -> Figure:
    """The figure of some rows; `said` is what must stand above (MailError when no row has a baseline)."""
    from matplotlib.figure import Figure

    with_baseline = [row for row in rows if row.baseline]
    if not with_baseline:
        raise MailError("no run has its baseline beside it, so there is no RI. Name the folder of all runs.")
    table = make_table(with_baseline, said)
    names = list(dict.fromkeys(line.name for line in table.lines))
    figure = Figure(figsize=(PAGE, 0.9 + 0.35 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for place, block in enumerate(table.blocks):
        shift = (place - (len(table.blocks) - 1) / 2) * 0.18
        for axis, metric in zip(axes, METRICS, strict=True):
            for line in block:
                found = line.improvements[metric]
                if found is None:
                    continue
                axis.errorbar(
                    found.mean,
                    names.index(line.name) + shift,
                    xerr=found.half_width,
                    color=COLORS[place],
                    marker=MARKERS[place],
                    markersize=4,
                    markerfacecolor=COLORS[place] if found.significant else "white",
                    linewidth=1,
                    label=TITLES[line.users] if line is block[0] else None,
                )
    for axis, metric in zip(axes, METRICS, strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        axis.set(xlabel=f"RI of {metric}, %")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    axes[1].legend()
    figure.suptitle(f"{said}; filled: significant at 5 %, Holm-corrected", fontsize="small")
    return figure
