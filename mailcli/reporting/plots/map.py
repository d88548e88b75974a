"""Where generated behavior helps: RI over the ranker in a grid of simulated worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mailcli.config import Options
from mailcli.data.dataset import open_dataset
from mailcli.errors import MailError
from mailcli.escape import figure_label
from mailcli.reporting.map_table import block_title
from mailcli.reporting.plots._base import RunFigures
from mailcli.reporting.plots._style import PAGE, add_title, caption, check_new_share, rows_by_cell, wrapped
from mailcli.reporting.rows import Row
from mailcli.reporting.worlds import MATTERS_FROM, MapLine, WorldRows, map_blocks, value_text, varying
from mailcli.runs.folder import RunFolder
from mailcli.settings.class_code import trains_on_generated_behavior
from mailcli.simulation.world import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The settings along the axes of each heat map; the others have a heat map for each of their combinations.
X, Y = "interactions", "attribute_strength"
#: Blue for better and red for worse are distinguishable with every kind of color vision (ColorBrewer RdBu).
COLORS_OF_RI = "RdBu"
#: RI in percent that has the full color at least, so that noise does not look like an effect (ours).
LEAST_LIMIT = 1.0
#: Characters of the name of a row of heat maps that fit next to it (ours, measured).
NAME_WIDTH = 30
#: Share of the largest RI from which a color is so dark that numbers on it are white (ours).
_DARK = 0.6


class Plot(RunFigures):
    """What generated behavior does to the AUC of new users (RI), by attribute strength, interactions and the rest."""

    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """A row of heat maps for each row of the table; hatched: worlds in which behavior is worth little."""
        by_dataset = sorted(runs, key=lambda run: run.config.data)
        groups = [list(group) for _, group in groupby(by_dataset, key=lambda run: run.config.data)]
        worlds = [WorldRows(_simulation(data_dir, group[0].config.data), _generating_rows(group)) for group in groups]
        _check(worlds, groups)
        return {"map": map_figure(worlds, map_caption(runs))}


def _simulation(data_dir: Path, name: str) -> Options:
    """The simulator's settings of a dataset (MailError if it is real)."""
    dataset = open_dataset(data_dir, name)
    if dataset.simulation is None:
        raise MailError(f"{dataset.folder}: is real data. Expected runs on simulated worlds for the map.")
    return {field.name: dataset.simulation.get(field.name, field.default) for field in fields(Settings)}


def _generating_rows(runs: Sequence[RunFolder]) -> list[Row]:
    """The rows among the runs on a dataset that are trained with generated behavior and have their baseline."""
    return [row for row in rows_by_cell(runs) if row.baseline and trains_on_generated_behavior(row.config.cold_start)]


def _check(worlds: Sequence[WorldRows], groups: Sequence[Sequence[RunFolder]]) -> None:
    """Refuse worlds that cannot be shown in one map (MailError)."""
    names = [group[0].config.data for group in groups]
    cells = [[(row.label, row.seeds) for row in world.rows] for world in worlds]
    for name, own in zip(names, cells, strict=True):
        if not own:
            raise MailError(
                f"'{name}': no run that is trained with generated behavior has its baseline next to it. "
                "Name the folder of all runs."
            )
        if own != cells[0]:
            raise MailError(
                f"'{name}' and '{names[0]}' do not have the same rows and seeds. Run `mail run` to its end, or "
                "name the folders of runs to compare."
            )
    name_by_settings: dict[str, str] = {}
    for name, world in zip(names, worlds, strict=True):
        earlier_name = name_by_settings.setdefault(repr(world.settings), name)
        if earlier_name != name:
            raise MailError(f"'{name}' and '{earlier_name}' are the same world. Name the runs of one of them.")


def map_caption(runs: Sequence[RunFolder]) -> str:
    """What one figure of many worlds shows (MailError if the runs differ in protocol or share of new users)."""
    names = sorted({run.config.data for run in runs})
    if len(names) == 1:
        return caption(runs)
    protocols = sorted({run.config.protocol for run in runs})
    if len(protocols) > 1:
        raise MailError(f"the runs are under the protocols {' and '.join(protocols)}. Name runs under one.")
    check_new_share(runs)
    seeds = ", ".join(map(str, sorted({run.config.seed for run in runs})))
    return f"{len(names)} simulated worlds, protocol {protocols[0]}, seeds {seeds}"


def map_figure(worlds: Sequence[WorldRows], title: str) -> Figure:
    """The figure of some worlds, as for `map_blocks`."""
    from matplotlib.figure import Figure

    blocks = map_blocks(worlds)
    names = [name for name in varying(worlds) if name not in {X, Y}]
    ordered = sorted(worlds, key=lambda world: [world.settings[name] for name in names])
    facets = list(dict.fromkeys(_facet_of(world.settings, names) for world in ordered))
    counting = [
        line.improvement.mean for block in blocks for line in block.lines if line.improvement and line.behavior_matters
    ]
    limit = max([LEAST_LIMIT, *map(abs, counting)])
    figure = Figure(figsize=(PAGE, 0.8 + 2.0 * len(blocks)), layout="constrained")
    axes = figure.subplots(len(blocks), len(facets), squeeze=False, sharex=True, sharey=True)
    for block, row in zip(blocks, axes, strict=True):
        for facet, axis in zip(facets, row, strict=True):
            lines = [line for line in block.lines if _facet_of(line.settings, names) == facet]
            image = _heat_map(axis, lines, worlds, limit)
            axis.set_title(facet, fontsize="x-small")
        name = wrapped(figure_label(block_title(block)), NAME_WIDTH)
        row[0].set_ylabel(f"{name}\n{Y.replace('_', ' ')}")
    for axis in axes[-1]:
        axis.set_xlabel(X)
    figure.colorbar(image, ax=axes, label="RI of AUC, new users, %", shrink=0.8)
    star = "*: significant at 5%, Holm-corrected; " if len(worlds[0].rows[0].seeds) > 1 else ""
    add_title(figure, f"{title}\n{star}hatched: real v is less than {MATTERS_FROM:g} above v = 0, or not measured")
    return figure


def _facet_of(settings: Options, names: Sequence[str]) -> str:
    """The title of the heat map that shows a world: its settings that are not on an axis."""
    return "\n".join(f"{name.replace('_', ' ')} {value_text(settings[name])}" for name in names)


def _heat_map(axis: Axes, lines: Sequence[MapLine], worlds: Sequence[WorldRows], limit: float) -> Any:
    """RI of some worlds in one heat map; every setting of an axis has its place, whether there is a world or not."""
    xs, ys = (sorted({world.settings[name] for world in worlds}) for name in (X, Y))
    colors = np.full((len(ys), len(xs)), np.nan)
    for line in lines:
        x, y = xs.index(line.settings[X]), ys.index(line.settings[Y])
        ri = line.improvement
        text = "-" if ri is None else f"{ri.mean:+.1f}{'*' if ri.significant else ''}"
        if line.behavior_matters and ri is not None:
            colors[y, x] = ri.mean
        else:
            _hatch(axis, x, y)
        shade = (
            "white" if abs(np.nan_to_num(colors[y, x])) > _DARK * limit else "black" if line.behavior_matters else "0.4"
        )
        axis.text(x, y, text, ha="center", va="center", fontsize="x-small", color=shade)
    image = axis.imshow(colors, cmap=COLORS_OF_RI, vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    axis.set_xticks(range(len(xs)), [value_text(value) for value in xs])
    axis.set_yticks(range(len(ys)), [value_text(value) for value in ys])
    return image


def _hatch(axis: Axes, x: int, y: int) -> None:
    """Mark a world that does not count."""
    from matplotlib.patches import Rectangle

    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="0.92", edgecolor="0.75", hatch="////", linewidth=0))
