"""What every figure must be: nothing covers anything, nothing is cut, and it can be read in black and white."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

#: Pixels at matplotlib's 100 per inch: a panel narrower or lower than this shows nothing.
_PANEL = 50


def assert_readable(figure: Figure) -> None:
    """AssertionError if a legend covers a panel, texts run into each other, or two groups differ by color only."""
    figure.draw_without_rendering()
    whole = figure.get_tightbbox()
    assert whole.width <= figure.get_figwidth() * 1.01, "a text makes the figure wider than its page"
    assert whole.height <= figure.get_figheight() * 1.01, "a text makes the figure higher than it is meant to be"
    for axis in figure.axes:
        assert axis.get_legend() is None, "a legend within a panel covers data sooner or later"
        assert min(axis.bbox.width, axis.bbox.height) >= _PANEL or axis.get_label() == "<colorbar>", axis.bbox
        _assert_apart(axis)
    for legend in figure.legends:
        for axis in figure.axes:
            panel = axis.get_tightbbox()
            assert panel is None or not legend.get_window_extent().overlaps(panel), "the legend covers a panel"
        looks = [_look(handle) for handle in legend.legend_handles]
        assert len(set(looks)) == len(looks), f"groups that differ by their colors only: {looks}"


def _assert_apart(axis: Axes) -> None:
    """The labels of an axis do not run into each other."""
    for labels, side in ((axis.get_xticklabels(), "x"), (axis.get_yticklabels(), "y")):
        shown = [label for label in labels if label.get_text() and label.get_visible()]
        boxes = [label.get_window_extent() for label in shown]
        boxes.sort(key=lambda box: box.x0 if side == "x" else box.y0)
        for before, after in pairwise(boxes):
            gap = after.x0 - before.x1 if side == "x" else after.y0 - before.y1
            assert gap >= -0.5, f"labels of the {side} axis run into each other"


def _look(handle: Any) -> tuple[Any, ...]:
    """All of a legend's mark but its color."""
    if isinstance(handle, PathCollection):
        return (np.shape(handle.get_paths()[0].vertices), handle.get_hatch())
    assert isinstance(handle, Line2D), f"a kind of mark that this test does not know: {handle}"
    return (handle.get_marker(), vars(handle)["_unscaled_dash_pattern"], handle.get_fillstyle())
