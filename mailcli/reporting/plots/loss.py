"""MAIL Fig. 4: the losses over batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mailcli.errors import MailError
from mailcli.reporting.plots._style import COLORS, PAGE, by_cell, caption
from mailcli.training.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The losses of Fig. 4: Eqs. (13), (3), (4), (5).
LOSSES = ("L_rt", "L_a", "L_v", "L_d")
#: Batches of the moving mean that is drawn over the single ones (ours).
WINDOW = 25


class Plot:
    """L_rt, L_a, L_v and L_d over batches (MAIL Fig. 4)."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A panel per loss; thin: each seed's batches, thick: the moving mean of 25 batches over all seeds."""
        del data_dir
        from matplotlib.figure import Figure

        losses = {run.folder: _losses(run) for run in runs}
        shown = [name for name in LOSSES if any(name in found for found in losses.values())]
        if not shown:
            raise MailError("the runs have no losses: two-stage methods are fitted, not trained by batches.")
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for color, (cell, group) in zip(COLORS, by_cell(runs), strict=False):
            for axis, name in zip(axes, shown, strict=True):
                lines = [losses[run.folder][name] for run in group if name in losses[run.folder]]
                if not lines:
                    continue
                for line in lines:
                    axis.plot(np.arange(1, len(line) + 1), line, color=color, alpha=0.2, linewidth=0.5)
                steps, mean = _moving_mean(lines)
                axis.plot(steps, mean, color=color, linewidth=1.2, label=cell)
        for axis, name in zip(axes, shown, strict=True):
            axis.set(title=f"${name.replace('_', '_{')}}}$", xlabel="batch")
        axes[0].set_ylabel("loss")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.suptitle(caption(runs), fontsize="small")
        return {"loss": figure}


def _losses(run: Run) -> dict[str, list[float]]:
    lines = [line for line in run.history() if "step" in line]
    return {name: [line[name] for line in lines] for name in LOSSES if lines and name in lines[0]}


def _moving_mean(lines: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean over seeds of as many batches as all have, and over 25 batches in a row."""
    length = min(map(len, lines))
    mean = np.mean([line[:length] for line in lines], axis=0)
    window = min(WINDOW, length)
    return np.arange(window, length + 1), np.convolve(mean, np.ones(window) / window, mode="valid")
