"""MAIL Fig. 4: the losses over batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import PAGE, add_legend, add_title, caption, group_by_cell, labeled, line_style
from mailcli.runs.folder import HISTORY, RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The losses of Fig. 4: Eqs. (13), (3), (4), (5).
LOSSES = ("L_rt", "L_a", "L_v", "L_d")
#: Batches on either side of a batch whose mean is drawn over the single ones (ours).
REACH = 12


class Plot(RunFigures):
    """L_rt, L_a, L_v and L_d over batches (MAIL Fig. 4)."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A panel per loss; thin: the batches of each seed, thick: the moving mean over all seeds.

        Raises:
            MailError: the runs have none of the losses, or a history is missing or damaged.
        """
        del data_dir
        from matplotlib.figure import Figure

        losses = {run.folder: _losses(run) for run in runs}
        names = [name for name in LOSSES if any(name in by_name for by_name in losses.values())]
        if not names:
            raise MailError(
                f"{runs[0].folder / HISTORY}: holds no losses of batches. Expected a run that was trained in batches, "
                "which no two-stage method or trivial row is."
            )
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        axes = figure.subplots(1, len(names), squeeze=False)[0]
        for number, (cell, group) in enumerate(group_by_cell(runs)):
            for axis, name in zip(axes, names, strict=True):
                curves = [losses[run.folder][name] for run in group if name in losses[run.folder]]
                if curves:
                    _draw_curves(axis, curves, number, cell)
        for axis, name in zip(axes, names, strict=True):
            axis.set(title=f"${name.replace('_', '_{')}}}$", xlabel="batch")
        axes[0].set_ylabel("loss")
        add_legend(figure, labeled(axes))
        add_title(figure, f"{caption(runs)}; thick: the moving mean over all seeds")
        return {"loss": figure}


def _losses(run: RunFolder) -> dict[str, dict[int, float]]:
    """The losses that a run has, by the number of the batch: with `update_every`, not every batch trains the tower."""
    steps = [line for line in run.history() if "step" in line]
    curves = {name: {step["step"]: step[name] for step in steps if name in step} for name in LOSSES}
    return {name: curve for name, curve in curves.items() if curve}


def _draw_curves(axis: Any, curves: Sequence[Mapping[int, float]], number: int, label: str) -> None:
    style = {**line_style(number), "marker": ""}
    for curve in curves:
        axis.plot(list(curve), list(curve.values()), color=style["color"], alpha=0.2, linewidth=0.5)
    places, mean = moving_mean([list(curve.values()) for curve in curves])
    axis.plot(np.array(list(curves[0]))[places - 1], mean, linewidth=1.2, label=label, **style)


def moving_mean(curves: Sequence[Sequence[float]]) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Numbers of batches, and the mean over all curves and the batches around each, as far as the shortest curve goes.

    Each mean stands at the middle of its batches: it neither trails them nor runs ahead of them. It takes 12 batches
    on either side, and of a short curve no more than an eighth of its length.
    """
    length = min(map(len, curves))
    mean = np.mean([curve[:length] for curve in curves], axis=0)
    reach = min(REACH, length // 8)
    window = 2 * reach + 1
    return np.arange(reach + 1, length - reach + 1), np.convolve(mean, np.ones(window) / window, mode="valid")
