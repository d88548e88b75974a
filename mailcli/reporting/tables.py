"""Rows -> the numbers of a result table, before any form: estimates, improvements and ranks, with a caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mailcli import plugins
from mailcli.metrics.calibration import CALIBRATION_METRICS
from mailcli.metrics.statistics import Estimate, Improvement, estimate, holm, improvement_if_defined
from mailcli.reporting.audit_block import NamedAudit, missing_note, row_audits
from mailcli.reporting.best_epochs import BestEpochs, best_epochs
from mailcli.reporting.captions import caption_notes, data_note
from mailcli.reporting.columns import column_notes, direction
from mailcli.reporting.paper import Reported, row_name
from mailcli.reporting.rows import (
    CONVERSION_METRICS,
    COST_METRICS,
    METRICS,
    TITLES,
    Row,
    bootstrap_means,
    cost_by_seed,
    metric_by_seed,
)


@dataclass(frozen=True)
class MetricCell:
    """One metric of one row, for one group of users."""

    estimate: Estimate | None
    """None if a seed lacks the metric."""
    over_users: tuple[float, float] | None = None
    """95% interval of the mean over users, the trained models fixed; None if users were not drawn."""
    rank: int = 0
    """1 for the best mean of the block, 2 for the second best, 0 for all others."""
    below_trivial: bool = False
    """Whether the mean of a row that is not trivial is below that of the best trivial row of the block.

    Only for metrics of which higher is better.
    """


@dataclass(frozen=True)
class ResultLine:
    """One row of a table, for one group of users."""

    users: str
    name: str
    seeds: tuple[int, ...]
    cells: dict[str, MetricCell]
    improvements: dict[str, Improvement | None]
    """By metric; None without a baseline."""
    reported: Mapping[str, float]
    trivial: bool = False
    """Whether it is fitted without a network."""
    epochs: BestEpochs | None = None
    """None for a row that is not trained by epochs."""


@dataclass(frozen=True)
class ResultTable:
    """A table of results with its caption."""

    title: str
    columns: tuple[str, ...]
    """The metrics that have a column; the lines may have more, for programs."""
    lines: tuple[ResultLine, ...]
    notes: tuple[str, ...]
    bootstrapped: bool
    """Whether there are intervals over users."""
    with_reported: bool
    audits: tuple[NamedAudit, ...] = ()
    """Of the rows that generate behavior."""
    audit_notes: tuple[str, ...] = ()
    is_papers_own: bool = True
    """Whether the numbers that a paper reports are of this data; if not, a terminal does not show them."""

    @property
    def blocks(self) -> list[list[ResultLine]]:
        """The lines by group of users."""
        blocks = [[line for line in self.lines if line.users == users] for users in TITLES]
        return [block for block in blocks if block]


def make_table(
    rows: Sequence[Row],
    title: str,
    reported: Reported | None = None,
    columns: Sequence[str] = METRICS,
    is_papers_own: bool = True,
) -> ResultTable:
    """The table of some rows: one block each for new, old, all and naturally new users.

    Args:
        rows: on one dataset, under one protocol.
        title: what the table shows.
        reported: a paper's numbers, to be shown next to ours; None for no such columns.
        columns: the metrics to show, from `columns.COLUMNS`; those of conversions are added where they exist.
        is_papers_own: whether `reported` is of this data, or of this experiment.
    """
    bootstrapped = any("over_users" in result for row in rows for result in row.results)
    with_conversions = any(CONVERSION_METRICS[0] in result["test"]["all"] for row in rows for result in row.results)
    conversions = [f"CTCVR {metric}" for metric in columns if direction(metric)] if with_conversions else []
    shown = (*columns, *conversions)
    metrics = tuple(dict.fromkeys([*METRICS, *shown, *_further_metrics(rows)]))
    lines = [line for users in TITLES for line in _block(rows, users, metrics, reported or {})]
    notes = caption_notes(rows, bootstrapped, with_conversions, reported)
    notes += column_notes(shown, any(line.trivial for line in lines))
    notes += other_seeds_note(rows)
    # Rows that are compared with each other are in an earlier table.
    audited = [] if any(row.against for row in rows) else rows
    audits, missing = row_audits(audited), missing_note(audited)
    if not audits:
        notes += missing
    return ResultTable(
        title,
        shown,
        tuple(lines),
        tuple(notes),
        bootstrapped,
        reported is not None,
        audits,
        (data_note(rows), *missing),
        is_papers_own,
    )


def _further_metrics(rows: Sequence[Row]) -> list[str]:
    """The other metrics that some result has: JSON and CSV have them whatever is shown."""
    results = [result for row in rows for result in row.results]
    names = [*CONVERSION_METRICS, *CALIBRATION_METRICS, *(f"CTCVR {name}" for name in CALIBRATION_METRICS)]
    measured = [name for name in names if any(name in result["test"]["all"] for result in results)]
    return measured + [name for name in COST_METRICS if any(name in result.get("cost", {}) for result in results)]


def _block(rows: Sequence[Row], users: str, metrics: Sequence[str], reported: Reported) -> list[ResultLine]:
    """The lines of one group of users; they are ranked, and Holm-corrected, among themselves."""
    rows = [row for row in rows if any(users in result["test"] for result in row.results)]
    cells = {
        metric: compare_cells([_cell(row, users, metric) for row in rows], rows, direction(metric))
        for metric in metrics
    }
    if any(row.against for row in rows):
        # Each line is the first row of a pair, so a row has several lines, and the second rows have none.
        cells = {metric: [replace(cell, rank=0) for cell in column] for metric, column in cells.items()}
    gains = {metric: holm([_improvement(row, users, metric) for row in rows]) for metric in METRICS}
    return [
        ResultLine(
            users,
            row.label + (f" against {row.against}" if row.against else ""),
            row.seeds,
            {metric: column[number] for metric, column in cells.items()},
            {metric: column[number] for metric, column in gains.items()},
            _reported(row, reported).get(users, {}),
            plugins.is_trivial(row.config.ranker),
            best_epochs(row),
        )
        for number, row in enumerate(rows)
    ]


def _reported(row: Row, reported: Reported) -> Mapping[str, Mapping[str, float]]:
    """A paper's numbers of a row, by its name in the table, or by the paper's if no option of its method is set."""
    names = [row.label] if row.config.shown_options["cold_start"] else [row.label, row_name(row.config)]
    return next((reported[name] for name in names if name in reported), {})


def _cell(row: Row, users: str, metric: str) -> MetricCell:
    if metric in COST_METRICS:
        costs = cost_by_seed(row.results, metric)
        return MetricCell(None if costs is None else estimate(costs))
    values, draws = metric_by_seed(row.results, users, metric), bootstrap_means(row, users, metric)
    return MetricCell(None if values is None else estimate(values), None if draws is None else _interval(draws))


def compare_cells(cells: Sequence[MetricCell], rows: Sequence[Row], direction: int) -> list[MetricCell]:
    """The cells of a metric, ranked and marked among the rows with the same seeds.

    Where lower is better, trivial rows take no part: most are not calibrated.

    Args:
        cells: of the rows.
        rows: those of a block.
        direction: 1 where higher is better, -1 where lower is, 0 where rows are not compared.
    """
    if not direction or not rows:
        return list(cells)
    usual, trivial = _usual_seeds(rows), [plugins.is_trivial(row.config.ranker) for row in rows]
    places = [n for n, row in enumerate(rows) if sorted(row.seeds) == usual and (direction > 0 or not trivial[n])]
    compared = rank_cells([cells[place] for place in places], direction)
    if direction > 0:
        compared = mark_below_trivial(compared, [trivial[place] for place in places])
    by_place = dict(zip(places, compared, strict=True))
    return [by_place.get(place, cell) for place, cell in enumerate(cells)]


def other_seeds_note(rows: Sequence[Row]) -> list[str]:
    """The note that some rows are not compared with the others; none if all have the same seeds."""
    if len({frozenset(row.seeds) for row in rows}) < 2:
        return []
    return [f"best, second best and ↓: only among the rows with seeds {', '.join(map(str, _usual_seeds(rows)))}"]


def _usual_seeds(rows: Sequence[Row]) -> list[int]:
    """The seeds that most rows have: those with other seeds have other new users, and are not compared with them."""
    return sorted(Counter(frozenset(row.seeds) for row in rows).most_common(1)[0][0])


def rank_cells(cells: Sequence[MetricCell], direction: int = 1) -> list[MetricCell]:
    """The cells with the best and second best means ranked; ties share a rank."""
    means = sorted({cell.estimate.mean for cell in cells if cell.estimate}, reverse=direction > 0)
    if len(means) < 2:
        return list(cells)
    ranks = {mean: rank for rank, mean in enumerate(means[:2], start=1)}
    return [replace(cell, rank=ranks.get(cell.estimate.mean, 0)) if cell.estimate else cell for cell in cells]


def mark_below_trivial(cells: Sequence[MetricCell], trivial: Sequence[bool]) -> list[MetricCell]:
    """The cells, marked where a row that is not trivial has a lower mean than the best trivial row."""
    means = [
        cell.estimate.mean for cell, is_trivial in zip(cells, trivial, strict=True) if is_trivial and cell.estimate
    ]
    if not means:
        return list(cells)
    return [
        replace(
            cell,
            below_trivial=not is_trivial and cell.estimate is not None and cell.estimate.mean < max(means),
        )
        for cell, is_trivial in zip(cells, trivial, strict=True)
    ]


def _improvement(row: Row, users: str, metric: str) -> Improvement | None:
    if row.baseline is None:
        return None
    own, base = metric_by_seed(row.results, users, metric), metric_by_seed(row.baseline, users, metric)
    return improvement_if_defined(base, own)


def _interval(draws: NDArray[np.float64]) -> tuple[float, float] | None:
    from mailcli.metrics.bootstrap import percentile_interval

    return None if np.isnan(draws).all() else percentile_interval(draws)
