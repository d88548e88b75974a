"""What each row costs against what it gains: seconds of training, AUC of new users, and RI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.escape import figure_label
from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import PAGE, add_legend, add_title, caption, labeled, line_style, rows_by_cell
from mailcli.reporting.rows import METRICS, Row
from mailcli.reporting.tables import ResultLine, make_table
from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Run folders keep times to a tenth of a second; a logarithmic axis has no place for 0.
_LEAST_SECONDS = 0.1


class Plot(RunFigures):
    """AUC of new users, and RI over the ranker without a method, against the seconds of training of each row."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A panel for AUC and one for RI, a point per row with its 95% interval over seeds.

        Raises:
            MailError: the runs do not say how long they trained.
        """
        del data_dir
        figure = cost_figure(rows_by_cell(runs), caption(runs))
        if figure is None:
            raise MailError("the runs do not say how long they trained: they are of an older version.")
        return {"cost": figure}


def cost_figure(rows: Sequence[Row], title: str) -> Figure | None:
    """The figure of some rows; None if none of them says how long it trained. Trivial rows are gray."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter, StrMethodFormatter

    lines = [line for line in make_table(rows, title).lines if line.users == "new"]
    timed = [line for line in lines if _seconds(line) is not None]
    if not timed:
        return None
    with_gain = any(line.improvements[METRICS[0]] for line in timed)
    figure = Figure(figsize=(PAGE, 2.8), layout="constrained")
    axes = figure.subplots(1, 1 + with_gain, squeeze=False)[0]
    for line in timed:
        style = _style(line, [other for other in lines if other.trivial == line.trivial])
        estimate, gain = line.cells[METRICS[0]].estimate, line.improvements[METRICS[0]]
        if estimate:
            _point(axes[0], line, estimate.mean, estimate.half_width, style)
        if gain:
            _point(axes[1], line, gain.mean, gain.half_width, style)
    for axis, ylabel in zip(axes, ("AUC of new users", "RI of AUC, new users, %"), strict=False):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        # Between powers of ten only where there is hardly one.
        axis.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
        axis.set(xlabel="seconds of training", ylabel=ylabel)
    if with_gain:
        axes[1].axhline(0, color="0.6", linewidth=0.8, zorder=0)
    add_legend(figure, labeled(axes))
    add_title(figure, title)
    return figure


def _style(line: ResultLine, group: Sequence[ResultLine]) -> dict[str, Any]:
    """By the place of a row among those of rankers, or among the trivial ones."""
    style = {**line_style(group.index(line)), "linestyle": "none"}
    return {**style, "color": "0.55", "fillstyle": "none"} if line.trivial else style


def _seconds(line: ResultLine) -> float | None:
    """The mean over seeds; None if a seed does not say."""
    cell = line.cells.get("training_seconds")
    return max(cell.estimate.mean, _LEAST_SECONDS) if cell and cell.estimate else None


def _point(axis: Any, line: ResultLine, height: float, half_width: float | None, style: dict[str, Any]) -> None:
    seconds = _seconds(line)
    axis.errorbar(seconds, height, yerr=half_width, fmt="none", ecolor=style["color"], linewidth=1)
    axis.plot([seconds], [height], markersize=5, label=figure_label(line.name), **style)
