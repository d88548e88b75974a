"""The validation curve: AUC after each validation, and the epoch that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.reporting.plots._style import PAGE, add_legend, add_title, caption, group_by_cell, labeled, line_style
from mailcli.training.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Groups of users, a panel each.
_USERS = ("new", "old", "all")
#: Inches.
SIZE = (PAGE, 2.3)


class Plot:
    """Validation AUC of new, old and all users over the steps of training; a ring marks the weights that were kept."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A panel per group of users, a line per run."""
        del data_dir
        from matplotlib.figure import Figure

        figure = Figure(figsize=SIZE, layout="constrained")
        draw_validation(figure, runs)
        return {"validation": figure}


def draw_validation(figure: Figure, runs: Sequence[Run]) -> None:
    """Draw the validation curves of some runs into an empty figure.

    Raises:
        MailError: none of them was trained by epochs.
    """
    cells = [(label, _results_with_curve(group)) for label, group in group_by_cell(runs)]
    cells = [(label, results) for label, results in cells if results]
    if not cells:
        raise MailError("the runs have no validation curve: they were not trained by epochs.")
    axes = figure.subplots(1, len(_USERS), squeeze=False)[0]
    for axis, users in zip(axes, _USERS, strict=True):
        for number, (label, results) in enumerate(cells):
            for result in results:
                _draw_curve(axis, result, users, line_style(number), label if result is results[0] else None)
        axis.set(title=f"{users} users", xlabel="step")
    axes[0].set_ylabel("validation AUC")
    add_legend(figure, labeled(axes))
    add_title(figure, f"{caption(runs)}; ringed: the weights that were kept")


def _results_with_curve(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [result for run in runs if (result := run.result) and result.get("curve")]


def _draw_curve(axis: Any, result: dict[str, Any], users: str, style: dict[str, Any], label: str | None) -> None:
    # matplotlib leaves a gap where there is no AUC.
    heights = {point["step"]: float("nan") if point[users] is None else point[users] for point in result["curve"]}
    axis.plot(list(heights), list(heights.values()), markersize=2.5, linewidth=1, label=label, **style)
    ring = {"color": style["color"], "marker": "o", "markersize": 7, "fillstyle": "none"}
    axis.plot([result["best_step"]], [heights[result["best_step"]]], **ring)
