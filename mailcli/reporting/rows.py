"""A row of a result table: the results of a cell and those of its baseline, by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.reporting.paper import row_label
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import baseline_result

METRICS = ("AUC", "GAUC")
#: Further metrics of rankers that score conversions, too.
CONVERSION_METRICS = ("CTCVR AUC", "CTCVR GAUC")
#: What a row costs, under `cost` of a result; runs of older versions lack it, and trivial rows `parameters`.
COST_METRICS = ("parameters", "training_seconds", "scoring_microseconds")
#: Groups of users in the order of a table's blocks, with the headings.
TITLES = {"new": "new users", "old": "old users", "all": "all users", "natural": "naturally new"}

Result = dict[str, Any]
"""The contents of a run's result.json, and its `cost` and `audit`; `rescore` may add `over_users`."""


@dataclass(frozen=True)
class Row:
    """One row of a table: a cell's results and those of its baseline, both in the order of the seeds."""

    config: RunConfig
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    baseline: tuple[Result, ...] | None
    """None where the cell is a baseline itself, or its baseline has not been run."""
    against: str | None = None
    """Label of the row whose results serve as the baseline, where that is not the ranker without a method."""
    name: str = ""
    """Its name in the table; empty for that of its cell and options."""

    @property
    def label(self) -> str:
        """The row's name in tables."""
        return self.name or row_label(self.config)


def listed(labels: Iterable[str]) -> str:
    """`MAIL-Base, 'DMR, all steps'`: the labels of rows in a sentence, in quotes if they have a comma."""
    return ", ".join(f"'{label}'" if "," in label else label for label in labels)


def result_of(run: RunFolder) -> Result:
    """The result of a finished run with its cost and audit (MailError if a file is damaged); empty if not finished."""
    result = run.result
    if result is None:
        return {}
    audit = run.audit
    return {**result, "cost": run.cost, **({"audit": audit} if audit else {})}


def row_of(scored: Sequence[tuple[RunFolder, Result]]) -> Row:
    """The row of runs that differ only by their seed; with the baselines if all of them exist."""
    baselines = [baseline_result(run) for run, _ in scored]
    existing = tuple(baseline for baseline in baselines if baseline is not None)
    return Row(
        scored[0][0].config,
        tuple(run.config.seed for run, _ in scored),
        tuple(result for _, result in scored),
        existing if len(existing) == len(scored) else None,
    )


def metric_by_seed(results: Sequence[Mapping[str, Any]], users: str, metric: str) -> list[float] | None:
    """A metric of one group of users for each seed; None if a seed lacks it."""
    values = [result["test"].get(users, {}).get(metric) for result in results]
    return None if None in values else values


def cost_by_seed(results: Sequence[Mapping[str, Any]], metric: str) -> list[float] | None:
    """What each seed costs, by one of COST_METRICS; None if a seed lacks it."""
    values = [result.get("cost", {}).get(metric) for result in results]
    return None if None in values else values


def bootstrap_means(row: Row, users: str, metric: str) -> NDArray[np.float64] | None:
    """[draws], a metric's mean over seeds for each bootstrap draw of the test users.

    NaN where a draw lacks a class for some seed. None if users were not drawn, or if a seed lacks the metric.
    """
    by_seed = [result.get("over_users", {}).get(users, {}).get(metric) for result in row.results]
    return None if any(draws is None for draws in by_seed) else np.mean(by_seed, axis=0)
