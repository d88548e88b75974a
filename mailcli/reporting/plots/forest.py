"""RI with intervals for every row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.escape import figure_label
from mailcli.metrics.statistics import Improvement
from mailcli.reporting.plots._style import COLORS, MARKERS, PAGE, caption, group_by_cell
from mailcli.reporting.rows import METRICS, TITLES, Row, row_of
from mailcli.reporting.tables import make_table
from mailcli.training.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Plot:
    """RI of AUC and GAUC over the ranker without a method, with 95 % intervals over seeds, for each row."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A panel per metric, a line per row, a marker per group of users; filled if the difference is significant."""
        del data_dir
        rows = [row_of([(run, run.result or {}) for run in group]) for _, group in group_by_cell(runs)]
        return {"forest": forest(rows, caption(runs))}


def forest(rows: Sequence[Row], title: str) -> Figure:
    """The figure of some rows (MailError if no row has a baseline)."""
    from matplotlib.figure import Figure

    with_baseline = [row for row in rows if row.baseline]
    if not with_baseline:
        raise MailError("no run has its baseline next to it, so there is no RI. Name the folder of all runs.")
    table = make_table(with_baseline, title)
    names = list(dict.fromkeys(line.name for line in table.lines))
    figure = Figure(figsize=(PAGE, 1.1 + 0.35 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for number, block in enumerate(table.blocks):
        shift = (number - (len(table.blocks) - 1) / 2) * 0.18
        for axis, metric in zip(axes, METRICS, strict=True):
            for line in block:
                gain = line.improvements[metric]
                if gain is not None:
                    label = TITLES[line.users] if line is block[0] else None
                    _error_bar(axis, gain, names.index(line.name) + shift, number, label)
    for axis, metric in zip(axes, METRICS, strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        axis.set(xlabel=f"RI of {metric}, %")
    axes[0].set_yticks(range(len(names)), [figure_label(name) for name in names])
    axes[0].invert_yaxis()
    # Below the panels, where it covers no interval.
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=len(table.blocks))
    figure.suptitle(f"{title}; filled: significant at 5 %, Holm-corrected", fontsize="small")
    return figure


def _error_bar(axis: Any, gain: Improvement, y: float, style: int, label: str | None) -> None:
    axis.errorbar(
        gain.mean,
        y,
        xerr=gain.half_width,
        color=COLORS[style],
        marker=MARKERS[style],
        markersize=4,
        markerfacecolor=COLORS[style] if gain.significant else "white",
        linewidth=1,
        label=label,
    )
