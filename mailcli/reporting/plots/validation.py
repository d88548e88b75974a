"""The validation curve: AUC after each validation, and the epoch that was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import PAGE, add_legend, add_title, caption, group_by_cell, labeled, line_style
from mailcli.reporting.rows import Result
from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Groups of users, a panel each.
_USERS = ("new", "old", "all")
#: Inches.
SIZE = (PAGE, 2.3)


class Plot(RunFigures):
    """Validation AUC of new, old and all users over the steps of training; a ring marks the weights that were kept."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A panel per group of users; thin: each run, thick: the mean over a cell's seeds, as far as all go."""
        del data_dir
        from matplotlib.figure import Figure

        figure = Figure(figsize=SIZE, layout="constrained")
        draw_validation(figure, runs)
        return {"validation": figure}


def draw_validation(figure: Figure, runs: Sequence[RunFolder]) -> None:
    """Draw the validation curves of some runs into an empty figure.

    Raises:
        MailError: none of them was trained by epochs.
    """
    cells = [(label, [run.result or {} for run in group]) for label, group in group_by_cell(runs)]
    if not draw_curves(figure, cells, caption(runs)):
        raise MailError("the runs have no validation curve: they were not trained by epochs.")


def draw_curves(figure: Figure, rows: Sequence[tuple[str, Sequence[Result]]], title: str) -> bool:
    """Draw the validation curves of some rows into an empty figure; False if there are none, and nothing is drawn.

    Args:
        figure: empty.
        rows: labels, and the results by seed; some may have no curve.
        title: above the panels.
    """
    curves = [(label, [_curves(result) for result in results if result.get("curve")]) for label, results in rows]
    if not any(by_seed for _, by_seed in curves):
        return False
    axes = figure.subplots(1, len(_USERS), squeeze=False)[0]
    for number, users in enumerate(_USERS):
        for style_number, (label, by_seed) in enumerate(curves):
            _draw_row(axes[number], [curve[number] for curve in by_seed], line_style(style_number), label)
        axes[number].set(title=f"{users} users", xlabel="step")
    axes[0].set_ylabel("validation AUC")
    add_legend(figure, labeled(axes))
    add_title(figure, f"{title}; ringed: the weights that were kept")
    return True


class Curve(NamedTuple):
    """The validation AUC of one run, for one group of users."""

    heights: dict[int, float]
    """By the step; NaN where there is no AUC, which matplotlib shows as a gap."""
    kept: int
    """The step whose weights were kept."""


def _curves(result: Result) -> list[Curve]:
    """The curve of each group of users."""
    by_users = [{point["step"]: point[users] for point in result["curve"]} for users in _USERS]
    return [
        Curve({step: float("nan") if auc is None else auc for step, auc in heights.items()}, result["best_step"])
        for heights in by_users
    ]


def _draw_row(axis: Any, curves: Sequence[Curve], style: dict[str, Any], label: str) -> None:
    """The mean of a row's curves with the row's label, and each curve behind it."""
    if curves:
        steps, heights = mean_curve([curve.heights for curve in curves])
        axis.plot(steps, heights, markersize=2.5, linewidth=1.2, label=label, **style)
    for curve in curves:
        if len(curves) > 1:
            color = style["color"]
            axis.plot(list(curve.heights), list(curve.heights.values()), color=color, linewidth=0.5, alpha=0.35)
        ring = {"color": style["color"], "marker": "o", "markersize": 5, "markeredgewidth": 0.7, "fillstyle": "none"}
        axis.plot([curve.kept], [curve.heights[curve.kept]], **ring)


def mean_curve(curves: Sequence[Mapping[int, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean step and the mean AUC of each validation, as far as the shortest curve goes.

    The seeds' epochs need not be equally long: under the protocol strict, each leaves out other impressions.
    """
    length = min(map(len, curves))
    steps, heights = (
        np.mean([list(part)[:length] for part in parts], axis=0)
        for parts in ([curve.keys() for curve in curves], [curve.values() for curve in curves])
    )
    return steps, heights
