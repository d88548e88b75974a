"""The means over the worlds of a grid that share some settings: the map in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from mailcli.metrics.statistics import Estimate, estimate
from mailcli.reporting.captions import ONE_SEED
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable
from mailcli.reporting.worlds import MapBlock, MapLine, world_name

#: What the cells are.
MEANS_NOTE = (
    "RI of AUC for new users in %: the mean over the worlds of a line, and in brackets the lowest and highest of a "
    "single world"
)
_SEEDS_NOTE = "±: 95% interval of the mean over seeds"


class _MeanGain(NamedTuple):
    """RI over some worlds, in percent."""

    estimate: Estimate
    """Of the mean over worlds, by seed."""
    least: float
    """The mean over seeds in the world that has the least."""
    most: float


def means_table(
    blocks: Sequence[MapBlock], shown: Sequence[str], together: int, title: str, notes: Sequence[str]
) -> TextTable:
    """A line for each combination of values of so many settings, a column for each row of the experiment.

    Args:
        blocks: of the rows that are trained with generated behavior, with the same worlds.
        shown: the settings in which the worlds differ.
        together: how many settings a line fixes.
        title: above the table.
        notes: below it, before those that explain the cells.
    """
    lines_by_block = [list(_lines(blocks, names)) for names in combinations(shown, together)]
    text_blocks = tuple(
        TextBlock("", [[TextCell(name), TextCell(str(count)), *map(_cell, gains)] for name, count, gains in lines])
        for lines in lines_by_block
    )
    has_intervals = len(blocks[0].lines[0].ri_by_seed) > 1
    return TextTable(
        title,
        ("", "worlds", *(block.name for block in blocks)),
        text_blocks,
        (*notes, MEANS_NOTE, _SEEDS_NOTE if has_intervals else ONE_SEED),
        [
            _record(block, name, count, gain)
            for lines in lines_by_block
            for name, count, gains in lines
            for block, gain in zip(blocks, gains, strict=True)
        ],
    )


def _lines(blocks: Sequence[MapBlock], names: Sequence[str]) -> Iterator[tuple[str, int, list[_MeanGain | None]]]:
    """The name of a line, the number of its worlds, and what each block has in them."""
    values = sorted({tuple(line.settings[name] for name in names) for line in blocks[0].lines})
    for settings in (dict(zip(names, chosen, strict=True)) for chosen in values):
        of_blocks = [[line for line in block.lines if settings.items() <= line.settings.items()] for block in blocks]
        yield world_name(settings), len(of_blocks[0]), [_mean_gain(lines) for lines in of_blocks]


def _mean_gain(lines: Sequence[MapLine]) -> _MeanGain | None:
    """None where a world has no measurement."""
    if not all(line.ri_by_seed for line in lines):
        return None
    gains = np.array([line.ri_by_seed for line in lines])
    by_world = gains.mean(axis=1)
    return _MeanGain(estimate(gains.mean(axis=0).tolist()), float(by_world.min()), float(by_world.max()))


def _cell(gain: _MeanGain | None) -> TextCell:
    """`+4.89 ±0.40`, and in brackets `+3.15 to +7.16`."""
    if gain is None:
        return TextCell("-")
    mean, _, half_width = gain.estimate
    interval = "" if half_width is None else f" ±{half_width:.2f}"
    return TextCell(f"{mean:+.2f}{interval} ({gain.least:+.2f} to {gain.most:+.2f})")


def _record(block: MapBlock, name: str, count: int, gain: _MeanGain | None) -> dict[str, Any]:
    """A cell for programs."""
    mean, half_width = (gain.estimate.mean, gain.estimate.half_width) if gain else (None, None)
    return {
        "users": "new",
        "row": block.name,
        "against": block.ranker,
        "metric": "AUC",
        "worlds": name,
        "count": count,
        "RI": mean,
        "RI_half_width_95": half_width,
        "least": gain.least if gain else None,
        "most": gain.most if gain else None,
    }
