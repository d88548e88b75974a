"""What all figures share: which runs they show, their captions, a colorblind-safe palette, PNG and SVG files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.escape import figure_label
from mailcli.reporting.paper import row_label, row_labels
from mailcli.reporting.rescore import cell_of
from mailcli.reporting.rows import Row, result_of, row_of
from mailcli.runs.folder import RunFolder
from mailcli.utils.files import remove, replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's palette (Color Universal Design, 2008), without yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Markers, which distinguish lines without colors.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Dash patterns, which distinguish lines without markers: solid, dashed, dotted, dash-dot, dash-dot-dot.
LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (5, 1, 1, 1, 1, 1)))
#: Inches: a column of a two-column paper is 3.3 wide, a page 7.
COLUMN, PAGE = 3.3, 7.0
STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Long enough to show how a line is dashed.
    "legend.handlelength": 2.6,
    "savefig.dpi": 300,
    "svg.hashsalt": "mail",
}


#: Characters of the title's type that fit an inch (ours, measured).
_TITLE_CHARACTERS = 20
#: Inches of a line of a legend (ours, measured).
_LEGEND_LINE = 0.17
#: Entries of a legend side by side, if there is room (ours).
_LEGEND_COLUMNS = 4


def line_style(number: int) -> dict[str, Any]:
    """Color, marker and dashes of the group with this number; the first five differ in their dashes, too.

    No two of the first 49 share color and marker, so that points differ as well.
    """
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[(number + number // len(COLORS)) % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def wrapped(label: str, width: int) -> str:
    """An escaped label in lines of so many characters, broken at spaces only: an escape stays whole."""
    return "\n".join(textwrap.wrap(label, width, break_long_words=False, break_on_hyphens=False)) or label


def add_title(figure: Figure, text: str) -> None:
    """Write an escaped text above the panels, in as many lines as the figure's width asks for."""
    lines = (wrapped(line, int(figure.get_figwidth() * _TITLE_CHARACTERS)) for line in text.split("\n"))
    figure.suptitle("\n".join(lines), fontsize="small")


def add_legend(figure: Figure, handles: dict[str, Any]) -> None:
    """Put a legend of handles by their labels below all panels, where it covers no data.

    It has as many columns as fit, and the figure grows by what it has of more than one line.
    """
    for columns in range(min(len(handles), _LEGEND_COLUMNS), 0, -1):
        legend = figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * ((len(handles) - 1) // columns))
            return
        legend.remove()


def labeled(axes: Iterable[Axes]) -> dict[str, Any]:
    """The handles of all that has a label in some panels, each label once."""
    return {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}


def group_by_cell(runs: Sequence[RunFolder]) -> Iterator[tuple[str, list[RunFolder]]]:
    """The runs that differ by their seed only, in its order, with a label: the name in tables. They are sorted."""
    for label, group in _cells(runs):
        yield figure_label(label), group


def rows_by_cell(runs: Sequence[RunFolder]) -> list[Row]:
    """The runs of each cell as a row of a table."""
    return [replace(row_of([(run, result_of(run)) for run in group]), name=label) for label, group in _cells(runs)]


def _cells(runs: Sequence[RunFolder]) -> list[tuple[str, list[RunFolder]]]:
    cells: dict[str, list[RunFolder]] = {}
    for run in sorted(runs, key=lambda run: (row_label(run.config), run.config.seed)):
        cells.setdefault(cell_of(run.config).key, []).append(run)
    groups = list(cells.values())
    labels = row_labels([cell_of(group[0].config) for group in groups])
    return list(zip(labels, groups, strict=True))


def caption(runs: Sequence[RunFolder]) -> str:
    """Data, protocol and seeds of the runs in one figure.

    Raises:
        MailError: they differ in data, protocol or share of new users, so they should not be in one figure.
    """
    kinds = sorted({(run.config.data, run.config.protocol) for run in runs})
    if len(kinds) > 1:
        first, second = ("/".join(kind) for kind in kinds[:2])
        raise MailError(f"the runs are on {first} and {second}. Name runs on one dataset under one protocol.")
    check_new_share(runs)
    result: dict[str, Any] = runs[0].result or {}
    seeds = ", ".join(map(str, sorted({run.config.seed for run in runs})))
    return figure_label(f"{result['dataset']}, protocol {result['protocol']}, seeds {seeds}")


def check_new_share(runs: Sequence[RunFolder]) -> None:
    """Refuse runs whose new users are not the same part of all users (MailError)."""
    shares = sorted({run.config.new_share for run in runs})
    if len(shares) > 1:
        raise MailError(f"the runs have new_share {shares[0]} and {shares[1]}. Name runs with one of them.")


def run_caption(run: RunFolder) -> str:
    """The caption of a figure of a single run."""
    return f"{figure_label(run.config.cell)} on {caption([run])}"


def save_figure(figure: Figure, out: Path, name: str) -> list[Path]:
    """Write `name`.png and `name`.svg into a folder, and return their paths."""
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    try:
        for path in paths:
            with replace_file(path) as partial:
                # Without the date, so that the same runs give the same bytes.
                figure.savefig(partial, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    except BaseException:
        if is_new:
            remove(out)
        raise
    return paths
