"""How close generated behavior is to the hidden behavior, in length and in direction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import COLORS, PAGE, add_title, run_caption
from mailcli.reporting.plots._users import encode_single_run
from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Nearness(NamedTuple):
    """Of each user, [users]."""

    real: NDArray[np.float64]
    """||Σ v_i||"""
    generated: NDArray[np.float64]
    """||Σ v̂_i||"""
    own: NDArray[np.float64]
    """cos(Σ v̂_i, Σ v_i)"""
    others: NDArray[np.float64]
    """cos(Σ v̂_i, Σ v_i of another user of the group): what the v̂ of any user would reach."""


class Plot(RunFigures):
    """Norms of Σ v and Σ v̂, and their cosines, old and new users: is v̂ as long as v, and is it the user's own?"""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A panel of norms and one of cosines, of a single run."""
        from matplotlib.figure import Figure

        run, vectors = encode_single_run(runs, data_dir, "nearness")
        shape = (-1, run.config.history, run.config.embedding_dim)
        v, v_hat = (steps.reshape(shape).sum(axis=1) for steps in (vectors.real, vectors.generated))
        groups = {
            name: measure_nearness(v[chosen], v_hat[chosen])
            for name, chosen in (("old users", ~vectors.new), ("new users", vectors.new))
        }
        norms: list[tuple[str, NDArray]] = []
        cosines: list[tuple[str, NDArray]] = []
        for name, group in groups.items():
            norms += [(f"{name}\n$v$", group.real), (f"{name}\n$\\hat{{v}}$", group.generated)]
            cosines += [(f"{name}\nown $v$", group.own), (f"{name}\nanother's", group.others)]
        figure = Figure(figsize=(PAGE, 2.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _boxes(left, norms)
        left.set(ylabel="norm of the sum of steps", ylim=(0, None))
        _boxes(right, cosines)
        right.set(ylabel=r"cosine of $\hat{v}$ with")
        add_title(figure, run_caption(run))
        return {"nearness": figure}


def measure_nearness(real: NDArray[np.floating], generated: NDArray[np.floating]) -> Nearness:
    """Norms and cosines of sums of steps [users, d]; "another user" is the one in the row before."""
    v, v_hat = real.astype(np.float64), generated.astype(np.float64)
    norm, norm_hat = (np.linalg.norm(x, axis=1) for x in (v, v_hat))

    def cosine(x: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
        # A zero sum has no direction: its cosine is NaN, and is not drawn.
        with np.errstate(invalid="ignore"):
            return np.asarray((v_hat * x).sum(axis=1) / (norm_hat * length), np.float64)

    return Nearness(norm, norm_hat, cosine(v, norm), cosine(np.roll(v, 1, axis=0), np.roll(norm, 1)))


def _boxes(axis: Any, groups: Sequence[tuple[str, NDArray[np.float64]]]) -> None:
    """One box per group: median, quartiles, whiskers from the 5th to the 95th percentile."""
    plot = axis.boxplot(
        [values[np.isfinite(values)] for _, values in groups],
        tick_labels=[name for name, _ in groups],
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for number, box in enumerate(plot["boxes"]):
        box.set_facecolor(COLORS[number % 2])
        box.set_alpha(0.5)
