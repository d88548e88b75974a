"""The figure of a run, which notebooks show."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from mailcli.reporting.plots._style import STYLE
from mailcli.reporting.plots.validation import SIZE, draw_validation
from mailcli.runs.folder import RunFolder


class _NotebookFigure(Figure):
    """A figure that a notebook shows as the value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png", dpi=150, bbox_inches="tight")
        return image.getvalue()


def validation_figure(run: RunFolder) -> Figure:
    """The validation curve of a run (MailError if it was not trained by epochs)."""
    with mpl.rc_context(STYLE):
        figure = _NotebookFigure(figsize=SIZE, layout="constrained")
        draw_validation(figure, [run])
    return figure
