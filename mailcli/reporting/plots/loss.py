"""MAIL Fig. 4: the losses over batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mailcli.errors import MailError
from mailcli.reporting.plots._style import COLORS, PAGE, caption, group_by_cell
from mailcli.training.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The losses of Fig. 4: Eqs. (13), (3), (4), (5).
LOSSES = ("L_rt", "L_a", "L_v", "L_d")
#: Batches in the moving mean, drawn over the single ones (ours).
WINDOW = 25


class Plot:
    """L_rt, L_a, L_v and L_d over batches (MAIL Fig. 4)."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A panel per loss; thin: the batches of each seed, thick: the moving mean of 25 batches over all seeds."""
        del data_dir
        from matplotlib.figure import Figure

        losses = {run.folder: _losses(run) for run in runs}
        names = [name for name in LOSSES if any(name in by_name for by_name in losses.values())]
        if not names:
            raise MailError("the runs have no losses: two-stage methods are fitted, not trained in batches.")
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        axes = figure.subplots(1, len(names), squeeze=False)[0]
        for color, (cell, group) in zip(COLORS, group_by_cell(runs), strict=False):
            for axis, name in zip(axes, names, strict=True):
                curves = [losses[run.folder][name] for run in group if name in losses[run.folder]]
                if curves:
                    _draw_curves(axis, curves, color, cell)
        for axis, name in zip(axes, names, strict=True):
            axis.set(title=f"${name.replace('_', '_{')}}}$", xlabel="batch")
        axes[0].set_ylabel("loss")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.suptitle(caption(runs), fontsize="small")
        return {"loss": figure}


def _losses(run: Run) -> dict[str, list[float]]:
    """Each loss of a run, batch by batch."""
    steps = [line for line in run.history() if "step" in line]
    return {name: [step[name] for step in steps] for name in LOSSES if steps and name in steps[0]}


def _draw_curves(axis: Any, curves: Sequence[Sequence[float]], color: str, label: str) -> None:
    for curve in curves:
        axis.plot(np.arange(1, len(curve) + 1), curve, color=color, alpha=0.2, linewidth=0.5)
    batches, mean = moving_mean(curves)
    axis.plot(batches, mean, color=color, linewidth=1.2, label=label)


def moving_mean(curves: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of batches, and the mean over all curves and 25 batches; as far as the shortest curve goes."""
    length = min(map(len, curves))
    mean = np.mean([curve[:length] for curve in curves], axis=0)
    window = min(WINDOW, length)
    return np.arange(window, length + 1), np.convolve(mean, np.ones(window) / window, mode="valid")
