"""RI with intervals for every row of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.escape import figure_label
from mailcli.metrics.statistics import Improvement
from mailcli.reporting.captions import ONE_SEED
from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import COLORS, MARKERS, PAGE, add_legend, add_title, caption, rows_by_cell, wrapped
from mailcli.reporting.rows import METRICS, TITLES, Row
from mailcli.reporting.tables import ResultLine, make_table
from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

#: Characters of a row's name on one line (ours: a third of the page).
NAME_WIDTH = 34
#: Inches of a row, and of a line of its name (ours).
ROW, NAME_LINE = 0.35, 0.13
#: Distance between the groups of users of a row, in rows (ours).
_SHIFT = 0.18


class Plot(RunFigures):
    """RI of AUC and GAUC over the ranker without a method, with 95% intervals over seeds, for each row."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A panel per metric, a line per row, a marker per group of users; filled if the difference is significant."""
        del data_dir
        return {"forest": forest(rows_by_cell(runs), caption(runs))}


def forest(rows: Sequence[Row], title: str) -> Figure:
    """The figure of some rows (MailError if no row has a baseline)."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with_baseline = [row for row in rows if row.baseline]
    if not with_baseline:
        raise MailError("no run has its baseline next to it, so there is no RI. Name the folder of all runs.")
    table = make_table(with_baseline, title)
    labels = [wrapped(figure_label(row.label), NAME_WIDTH) for row in with_baseline]
    height = max(ROW, *(NAME_LINE * (label.count("\n") + 2) for label in labels))
    # Wide enough between the panels that the numbers at their ends are not read as one.
    figure = Figure(figsize=(PAGE, 1.2 + height * len(labels)), layout=ConstrainedLayoutEngine(wspace=0.06))
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for number, block in enumerate(table.blocks):
        shift = (number - (len(table.blocks) - 1) / 2) * _SHIFT
        for axis, metric in zip(axes, METRICS, strict=True):
            for place, line in _placed(block, with_baseline):
                gain = line.improvements[metric]
                if gain is not None:
                    _error_bar(axis, gain, place + shift, number)
    for axis, metric in zip(axes, METRICS, strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        axis.set(xlabel=f"RI of {metric}, %")
        axis.locator_params(axis="x", nbins=6)
    # The first row on top.
    axes[0].set(ylim=(len(labels) - 0.5, -0.5))
    axes[0].set_yticks(range(len(labels)), labels)
    add_legend(figure, {TITLES[block[0].users]: _legend_mark(number) for number, block in enumerate(table.blocks)})
    several_seeds = any(len(line.seeds) > 1 for line in table.lines)
    add_title(figure, f"{title}; {'filled: significant at 5%, Holm-corrected' if several_seeds else ONE_SEED}")
    return figure


def _placed(block: Sequence[ResultLine], rows: Sequence[Row]) -> Iterator[tuple[int, ResultLine]]:
    """The lines of one group of users, each with its row's place: rows may share a name."""
    users = block[0].users
    places = [place for place, row in enumerate(rows) if any(users in result["test"] for result in row.results)]
    return zip(places, block, strict=True)


def _legend_mark(number: int) -> Line2D:
    """The mark of a group of users, not filled: whether a row's is says something about that row only."""
    from matplotlib.lines import Line2D

    color, marker = COLORS[number], MARKERS[number]
    return Line2D([], [], color=color, marker=marker, markersize=4, markerfacecolor="white", linewidth=1)


def _error_bar(axis: Any, gain: Improvement, y: float, style: int) -> None:
    axis.errorbar(
        gain.mean,
        y,
        xerr=gain.half_width,
        color=COLORS[style],
        marker=MARKERS[style],
        markersize=4,
        markerfacecolor=COLORS[style] if gain.significant else "white",
        linewidth=1,
    )
