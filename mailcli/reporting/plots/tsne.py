"""MAIL Figs. 5 and 6: t-SNE of real and generated behavior, and of attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import COLORS, PAGE, add_legend, add_title, labeled, run_caption
from mailcli.reporting.plots._users import UserVectors, encode_single_run
from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: t-SNE's default.
PERPLEXITY = 30
#: How the points of the two groups of a map look.
POINTS: tuple[dict[str, Any], ...] = (
    {"color": COLORS[0], "marker": "o", "s": 6, "alpha": 0.6, "linewidths": 0},
    {"color": COLORS[1], "marker": "x", "s": 8, "alpha": 0.8, "linewidths": 0.6},
)


class Plot(RunFigures):
    """t-SNE of v against v̂, old and new users (MAIL Fig. 5); of h_a and of v̂, new against old (Fig. 6)."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """Two figures of a single run."""
        run, vectors = encode_single_run(runs, data_dir, "t-SNE")
        figures = {
            "tsne-behavior": _real_against_generated(vectors, run.config.seed),
            "tsne-attributes": _new_against_old(vectors, run.config.seed),
        }
        for figure in figures.values():
            add_legend(figure, labeled(figure.axes))
            add_title(figure, run_caption(run))
        return figures


def _real_against_generated(vectors: UserVectors, seed: int) -> Figure:
    """Fig. 5: v and v̂ in one map, a panel each for old and new users."""
    from matplotlib.figure import Figure

    old, new = ~vectors.new, vectors.new
    figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
    points = embed_2d([vectors.real[old], vectors.generated[old]], [vectors.real[new], vectors.generated[new]], seed)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, title, (v, v_hat) in zip(axes, ("old users", "new users"), points, strict=True):
        _scatter(axis, [("real $v$", v), (r"generated $\hat{v}$", v_hat)])
        axis.set_title(title)
    return figure


def _new_against_old(vectors: UserVectors, seed: int) -> Figure:
    """Fig. 6: old and new users in one map, a panel each for h_a and v̂."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
    panels = [("$h_a$", vectors.attributes), (r"$\hat{v}$", vectors.generated)]
    for axis, (title, x) in zip(figure.subplots(1, 2), panels, strict=True):
        (old,), (new,) = embed_2d([x[~vectors.new]], [x[vectors.new]], seed)
        _scatter(axis, [("old users", old), ("new users", new)])
        axis.set_title(title)
    return figure


def _scatter(axis: Any, groups: Sequence[tuple[str, NDArray]]) -> None:
    """Two groups of points in one map: dots and crosses, which differ without colors, too."""
    for style, (name, points) in zip(POINTS, groups, strict=True):
        axis.scatter(*points.T, label=name, **style)
    axis.set(xticks=[], yticks=[])


def embed_2d(
    old: Sequence[NDArray], new: Sequence[NDArray], seed: int
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """The positions of groups of old and of new users in a two-dimensional map.

    openTSNE fits the map to the old users and places the new ones in it (Poličar et al., JSS 109, 2024). If it is not
    installed, scikit-learn's t-SNE fits a map to all users.

    Args:
        old, new: groups, [users, n] each.
        seed: decides the map.
    """
    x_old, x_new = np.concatenate(old).astype(np.float64), np.concatenate(new).astype(np.float64)
    perplexity = min(PERPLEXITY, (len(x_old) - 1) / 3)
    try:
        from openTSNE import TSNE
    except ImportError:
        from sklearn import manifold

        tsne = manifold.TSNE(perplexity=perplexity, random_state=seed, init="pca")
        points_old, points_new = np.split(tsne.fit_transform(np.concatenate([x_old, x_new])), [len(x_old)])
    else:
        fitted = TSNE(perplexity=perplexity, random_state=seed, initialization="pca").fit(x_old)
        points_old, points_new = np.asarray(fitted), np.asarray(fitted.transform(x_new))

    def split(points: NDArray, groups: Sequence[NDArray]) -> list[NDArray]:
        return np.split(points, np.cumsum([len(group) for group in groups])[:-1])

    return split(points_old, old), split(points_new, new)
