"""Results -> the numbers of a table, before any form: estimates, improvements, marks, and what must stand beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.metrics.statistics import Estimate, Improvement, estimate, holm, improvement
from mailcli.reporting.paper import row_name
from mailcli.reporting.rows import Row

METRICS = ("AUC", "GAUC")
#: Columns of rankers that score conversions too.
CONVERSION_METRICS = ("CTCVR AUC", "CTCVR GAUC")
TITLES = {"new": "new users", "old": "old users", "all": "all users", "natural": "naturally new"}

Reported = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Row -> users -> metric or `RI metric` -> a number that a paper prints; what it does not print is not there."""


@dataclass(frozen=True)
class Cell:
    """One metric of one row, for one group of users."""

    estimate: Estimate | None
    """None where a seed lacks the metric."""
    over_users: tuple[float, float] | None = None
    """95 % interval over users of the mean, the trained models as they are; None where users were not drawn."""
    place: int = 0
    """1 for the best mean of the block, 2 for the second best, 0 for the others."""


@dataclass(frozen=True)
class Line:
    """One row of a table, for one group of users."""

    users: str
    name: str
    seeds: tuple[int, ...]
    cells: dict[str, Cell]
    improvements: dict[str, Improvement | None]
    """By metric; None without a baseline."""
    reported: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """A table of results with its caption."""

    title: str
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    drawn: bool
    """Whether there are intervals over users."""
    with_reported: bool

    @property
    def blocks(self) -> list[list[Line]]:
        """The lines by group of users."""
        found = [[line for line in self.lines if line.users == users] for users in TITLES]
        return [block for block in found if block]


def make_table(rows: Sequence[Row], title: str, reported: Reported | None = None) -> Table:
    """The table of some rows: a block each for new, old, all and naturally new users.

    Args:
        rows: on one dataset, under one protocol.
        title: what it shows.
        reported: a paper's numbers, to stand beside; None for no such columns.
    """
    drawn = any("over_users" in result for row in rows for result in row.results)
    scored = any(CONVERSION_METRICS[0] in result["test"]["all"] for row in rows for result in row.results)
    metrics = (*METRICS, *(CONVERSION_METRICS if scored else ()))
    lines = [line for users in TITLES for line in _block(rows, users, metrics, reported or {})]
    notes = _notes(rows, drawn, scored, reported is not None)
    return Table(title, metrics, tuple(lines), tuple(notes), drawn, reported is not None)


def _block(rows: Sequence[Row], users: str, metrics: Sequence[str], reported: Reported) -> list[Line]:
    """The lines of one group of users; Holm's correction and the marks are over them."""
    shown = [row for row in rows if any(users in result["test"] for result in row.results)]
    cells = {metric: _marked([_cell(row, users, metric) for row in shown]) for metric in metrics}
    gains = {metric: holm([_improvement(row, users, metric) for row in shown]) for metric in METRICS}
    return [
        Line(
            users,
            label(row.config) + (f" against {row.against}" if row.against else ""),
            row.seeds,
            {metric: found[place] for metric, found in cells.items()},
            {metric: found[place] for metric, found in gains.items()},
            reported.get(row_name(row.config), {}).get(users, {}),
        )
        for place, row in enumerate(shown)
    ]


def _cell(row: Row, users: str, metric: str) -> Cell:
    found, draws = values(row.results, users, metric), _draws(row, users, metric)
    return Cell(None if found is None else estimate(found), None if draws is None else _interval(draws))


def _marked(cells: Sequence[Cell]) -> list[Cell]:
    """With the places of the best and second best means; rows that tie share a place."""
    means = sorted({cell.estimate.mean for cell in cells if cell.estimate}, reverse=True)
    if len(means) < 2:
        return list(cells)
    places = {mean: place for place, mean in enumerate(means[:2], start=1)}
    return [replace(cell, place=places.get(cell.estimate.mean, 0)) if cell.estimate else cell for cell in cells]


def values(results: Sequence[Mapping[str, Any]], users: str, metric: str) -> list[float] | None:
    """The metric of each seed; None where a seed lacks it."""
    found = [result["test"].get(users, {}).get(metric) for result in results]
    return None if None in found else found


def _improvement(row: Row, users: str, metric: str) -> Improvement | None:
    if row.baseline is None:
        return None
    own, base = values(row.results, users, metric), values(row.baseline, users, metric)
    # Nothing is so many per cent better than zero, which the GAUC of a handful of users can be.
    return None if own is None or base is None or 0 in base else improvement(base, own)


def _draws(row: Row, users: str, metric: str) -> NDArray[np.float64] | None:
    """[draws], the mean over seeds for each draw of the test's users; NaN where a draw lacks a class for a seed.

    None where users were not drawn, or a seed lacks the metric.
    """
    found = [result.get("over_users", {}).get(users, {}).get(metric) for result in row.results]
    return None if any(each is None for each in found) else np.mean(found, axis=0)


def _interval(draws: NDArray[np.float64]) -> tuple[float, float] | None:
    from mailcli.metrics.bootstrap import percentile_interval

    return None if np.isnan(draws).all() else percentile_interval(draws)


def label(config: RunConfig) -> str:
    """The row's name with the options that make it another model than the name says."""
    options = {**config.ranker_options, **config.cold_start_options}
    shown = [f"{key}={value}" for key, value in options.items() if key != "variant"]
    return " ".join([row_name(config), *([f"({', '.join(shown)})"] if shown else [])])


def _settings(config: RunConfig) -> str:
    """The settings shared by a table's rows that are not at their defaults."""
    shown = {f.name: getattr(config, f.name) for f in fields(RunConfig) if f.default is not MISSING}
    own = {"ranker", "cold_start", "seed", "protocol", "new_share", "continues"}
    changed = [f"{k} {v}" for k, v in shown.items() if k not in own and v != getattr(RunConfig, k)]
    return ", ".join(changed) or "at their defaults"


def _notes(rows: Sequence[Row], drawn: bool, scored: bool, with_reported: bool) -> list[str]:
    """What must stand beside every number: data, protocol, seeds, how intervals are made, what was left out."""
    row = rows[0]
    first = row.results[0]
    same = all(each.seeds == row.seeds for each in rows)
    by_row = "; ".join(f"{label(each.config)}: {', '.join(map(str, each.seeds))}" for each in rows)
    seeds = ", ".join(map(str, row.seeds)) if same else by_row
    shares = [r["test"]["all"]["one_class_impressions"] for each in rows for r in each.results]
    lines = [
        f"data {first['dataset']} | protocol {first['protocol']}, {row.config.new_share:.0%} of users new"
        f" | seeds {seeds}",
        f"settings: {_settings(row.config)}",
    ]
    if any(len(each.seeds) > 1 for each in rows):
        lines.append("±: 95 % interval over seeds; n.s. = no significant difference at 5 %")
    else:
        lines.append("one seed: no interval over seeds, so no difference here is known to be significant")
    lines += _notes_on_draws(rows) if drawn else []
    lines.append(f"GAUC leaves out users of one class ({np.mean(shares):.1%} of the test impressions)")
    if any(each.against for each in rows):
        lines.append("RI: against the row that is named, same seed")
    elif any(each.baseline for each in rows):
        lines.append("RI: against the same ranker without a cold-start method, same seed")
    if any(each.baseline and len(each.seeds) > 1 for each in rows):
        lines.append("p: two-sided, paired by seed (t-test), Holm-corrected over the rows of a block")
    if scored:
        lines.append("CTCVR: of impressions that are clicked and then converted, by pCTCVR = pCTR x pCVR")
    if with_reported:
        lines.append("paper: its numbers on about 6 M impressions of Alimama; not comparable with other data")
    return lines


def _notes_on_draws(rows: Sequence[Row]) -> list[str]:
    """What the intervals over users are of, and what they are not."""
    found = [
        draws
        for row in rows
        for users in TITLES
        for metric in (*METRICS, *CONVERSION_METRICS)
        if (draws := _draws(row, users, metric)) is not None
    ]
    shares = [float(np.isnan(draws).mean()) for draws in found]
    # Where no draw has both classes, there is no interval either.
    undefined = max(share for share in [0.0, *shares] if share < 1)
    return [
        f"over users: 95 % interval of the mean beside it, {len(found[0]):,} draws of the test's users with all their "
        "impressions, the trained models as they are",
        "over users: not of differences between rows, which share the users and the draws",
        *([f"over users: draws without both classes are left out (at most {undefined:.1%})"] if undefined else []),
    ]
