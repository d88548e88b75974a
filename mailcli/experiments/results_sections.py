"""Experiments -> the sections of `mail results`: archived runs, tables and figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mailcli.errors import MailError
from mailcli.experiments.archive import archive_runs
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.grid import archive_worlds
from mailcli.experiments.results_document import ExperimentSection
from mailcli.reporting.map_table import map_tables
from mailcli.reporting.plots.forest import forest
from mailcli.reporting.plots.map import map_caption, map_figure
from mailcli.reporting.rows import Row
from mailcli.reporting.worlds import WorldRows
from mailcli.runs.folder import RunFolder
from mailcli.utils.paths import real_path


def make_sections(
    experiments: Sequence[Experiment], runs: Path, kept: Path, figures: Path, out: Path
) -> list[ExperimentSection]:
    """The section of each experiment.

    Args:
        experiments: the experiments.
        runs: folder of the runs; it need not exist.
        kept: folder of the archived runs.
        figures: folder with a subfolder of figures per experiment; a forest plot or a map is drawn.
        out: the document, to which the sections' figures are relative.

    Raises:
        MailError: two experiments would share a subfolder of figures; or as `archive_runs`, for any experiment, before
            a figure is drawn.
    """
    _check_names(experiments, figures)
    archived = [_archive(experiment, runs, kept) for experiment in experiments]
    return [
        _section(experiment, own, figures / experiment.name, out)
        for experiment, own in zip(experiments, archived, strict=True)
    ]


def _check_names(experiments: Sequence[Experiment], figures: Path) -> None:
    """Refuse two files of one name, whose figures would be in one folder (MailError)."""
    path_by_name: dict[str, Path] = {}
    for experiment in experiments:
        path, earlier_path = experiment.path, path_by_name.setdefault(experiment.name, experiment.path)
        if earlier_path is not path and real_path(earlier_path) == real_path(path):
            raise MailError(f"{path}: is named twice. Name it once.")
        if earlier_path is not path:
            raise MailError(
                f"{earlier_path} and {path}: have one name, so both would have their figures in "
                f"{figures / experiment.name}. Rename one of them, or leave it out."
            )


class _Archived(NamedTuple):
    """An experiment's runs; a grid has worlds, any other experiment rows."""

    rows: Sequence[Row]
    worlds: Sequence[WorldRows]
    runs: Sequence[RunFolder]


def _archive(experiment: Experiment, runs: Path, kept: Path) -> _Archived:
    if experiment.grid:
        worlds, own_runs = archive_worlds(experiment, runs, kept)
        return _Archived([], worlds, own_runs)
    rows, own_runs = archive_runs(experiment, runs, kept)
    return _Archived(rows, [], own_runs)


def _section(experiment: Experiment, archived: _Archived, figures: Path, out: Path) -> ExperimentSection:
    label = (archived.runs[0].result or {})["dataset"]
    title = experiment.title_on(label)
    _draw(archived, figures)
    tables = map_tables(archived.worlds, title) if experiment.grid else experiment.tables(archived.rows, label)
    relative = [Path(os.path.relpath(path, out.parent)) for path in sorted(figures.glob("*.png"))]
    return ExperimentSection(experiment, tables, archived.runs, relative)


def _draw(archived: _Archived, folder: Path) -> None:
    """Write a section's own figure: the map of a grid, or the forest plot of rows that have a baseline."""
    import matplotlib as mpl

    from mailcli.reporting.plots._style import STYLE, caption, save_figure

    with mpl.rc_context(STYLE):
        if archived.worlds:
            save_figure(map_figure(archived.worlds, map_caption(archived.runs)), folder, "map")
        elif any(row.baseline for row in archived.rows):
            save_figure(forest(archived.rows, caption(archived.runs)), folder, "forest")
