"""What all figures share: which runs they show, their captions, a colorblind-safe palette, PNG and SVG files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.escape import figure_label
from mailcli.reporting.paper import row_label
from mailcli.training.run_folder import Run
from mailcli.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's palette (Color Universal Design, 2008), without yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: So that lines can be distinguished without colors, too.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Inches: a column of a two-column paper is 3.3 wide, a page 7.
COLUMN, PAGE = 3.3, 7.0
STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 300,
    "svg.hashsalt": "mail",
}


def group_by_cell(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """The runs of each cell, in the order of their seeds, with a label: the cell's name in tables. They are sorted."""
    ordered = sorted(runs, key=lambda run: (row_label(run.config), run.config.seed))
    for label, group in groupby(ordered, key=lambda run: row_label(run.config)):
        yield figure_label(label), list(group)


def caption(runs: Sequence[Run]) -> str:
    """Data, protocol and seeds of the runs in one figure.

    Raises:
        MailError: they differ in data or protocol, so they should not be in one figure.
    """
    kinds = sorted({(run.config.data, run.config.protocol) for run in runs})
    if len(kinds) > 1:
        first, second = ("/".join(kind) for kind in kinds[:2])
        raise MailError(f"the runs are on {first} and {second}. Name runs on one dataset under one protocol.")
    result: dict[str, Any] = runs[0].result or {}
    seeds = ", ".join(map(str, sorted({run.config.seed for run in runs})))
    return figure_label(f"{result['dataset']}, protocol {result['protocol']}, seeds {seeds}")


def run_caption(run: Run) -> str:
    """The caption of a figure of a single run."""
    return f"{figure_label(run.config.cell)} on {caption([run])}"


def save_figure(figure: Figure, out: Path, name: str) -> list[Path]:
    """Write `name`.png and `name`.svg into a folder, and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    for path in paths:
        with replace_file(path) as partial:
            # Without the date, so that the same runs give the same bytes.
            figure.savefig(partial, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
