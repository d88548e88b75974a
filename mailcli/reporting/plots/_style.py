"""What all figures share: colors that color-blind readers tell apart, a size for print, PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.errors import MailError
from mailcli.reporting.tables import label
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import finished_runs, open_run
from mailcli.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's palette (Color Universal Design, 2008), yellow left out: it cannot be seen on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Told apart without colors too.
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


def runs_of(folders: Sequence[Path], runs: Path) -> list[Run]:
    """The finished runs in or below the folders; all below `runs` where none is named (MailError without any)."""
    found: list[Run] = []
    for folder in folders or [runs]:
        if (folder / "config.toml").is_file():
            found.append(open_run(folder))
        else:
            found += finished_runs(folder)
    return found


def by_cell(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """The runs of each cell by the name that tables have, in the order of the seeds; sorted by name."""
    ordered = sorted(runs, key=lambda run: (label(run.config), run.config.seed))
    for name, group in groupby(ordered, key=lambda run: label(run.config)):
        yield name, list(group)


def caption(runs: Sequence[Run]) -> str:
    """Data, protocol and seeds of runs that share a figure.

    Raises:
        MailError: they differ in data or protocol, so no figure should hold them together.
    """
    kinds = sorted({(run.config.data, run.config.protocol) for run in runs})
    if len(kinds) > 1:
        first, second = ("/".join(kind) for kind in kinds[:2])
        raise MailError(f"the runs are of {first} and {second}. Name the runs of one dataset and protocol.")
    result: dict[str, Any] = runs[0].result or {}
    seeds = ", ".join(map(str, sorted({run.config.seed for run in runs})))
    return f"{result['dataset']}, protocol {result['protocol']}, seeds {seeds}"


def save(figure: Figure, out: Path, name: str) -> list[Path]:
    """Write `name`.png and `name`.svg into a folder; their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.png", out / f"{name}.svg"]
    for path in paths:
        with write_atomically(path) as partial:
            # Without the date, the same runs give the same bytes.
            figure.savefig(partial, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
