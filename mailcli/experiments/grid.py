"""The grid of an experiment: the same table in a simulated world for every combination of the simulator's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path

from mailcli.config import Options
from mailcli.experiments.archive import archive_runs
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.simulate_file import simulator_settings
from mailcli.reporting.rows import Row
from mailcli.reporting.worlds import WorldRows, world_name
from mailcli.runs.folder import RunFolder
from mailcli.simulation.world import Settings


def worlds(experiment: Experiment) -> list[Experiment]:
    """The experiment in each world of its grid, as an experiment of its own; only itself if it has no grid."""
    if not experiment.grid:
        return [experiment]
    return [
        _world(experiment, dict(zip(experiment.grid, values, strict=True)))
        for values in product(*(experiment.grid[name] for name in experiment.grid))
    ]


def _world(experiment: Experiment, settings: Options) -> Experiment:
    # In the order of all settings, as a table names its lines.
    ordered = {field.name: settings[field.name] for field in fields(Settings) if field.name in settings}
    simulate = {**experiment.simulate, **settings, "name": f"{experiment.simulate['name']}-{world_name(ordered)}"}
    return replace(experiment, simulate=simulate, grid={}, is_world=True)


def world_rows(experiment: Experiment, rows: Sequence[Row]) -> WorldRows:
    """The rows of a world with all settings of its simulator."""
    settings = Settings(**simulator_settings(experiment.simulate))
    return WorldRows(asdict(settings), rows)


def archive_worlds(experiment: Experiment, runs: Path, archive: Path) -> tuple[list[WorldRows], list[RunFolder]]:
    """The rows of each world of a grid, and all runs behind them; arguments and errors as `archive_runs`."""
    archived = [(world, *archive_runs(world, runs, archive)) for world in worlds(experiment)]
    return [world_rows(world, rows) for world, rows, _ in archived], [run for *_, own in archived for run in own]
