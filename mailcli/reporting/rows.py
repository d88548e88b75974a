"""A row of a table: a cell's results and those of its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mailcli.config import RunConfig
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import baseline_result

Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a table: a cell with its results and those of its baseline, both in the order of the seeds."""

    config: RunConfig
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    baseline: tuple[Result, ...] | None
    """None where the cell is a baseline itself, or its baseline has not been run."""
    against: str | None = None
    """The row whose results stand as the baseline's, where that is another than the ranker alone."""


def row_of(scored: list[tuple[Run, Result]]) -> Row:
    """Runs that differ by the seed alone as a row, with their baselines where all are there."""
    baselines = [baseline_result(run) for run, _ in scored]
    paired = tuple(b for b in baselines if b is not None)
    return Row(
        scored[0][0].config,
        tuple(run.config.seed for run, _ in scored),
        tuple(result for _, result in scored),
        paired if len(paired) == len(scored) else None,
    )
