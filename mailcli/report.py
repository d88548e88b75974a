"""Results -> the tables a person reads. Numbers come from run folders only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mailcli.config import RunConfig
from mailcli.experiments import Row
from mailcli.metrics import relative_improvement
from mailcli.paper import reported, row_name

METRICS = ("AUC", "GAUC")
#: Columns of rankers that score conversions too.
CONVERSION_METRICS = ("CTCVR AUC", "CTCVR GAUC")
TITLES = {"new": "new users", "old": "old users", "all": "all users", "natural": "naturally new"}


class Estimate(NamedTuple):
    """A mean over seeds with the half-width of its 95 % interval (None for one seed)."""

    mean: float
    half: float | None

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out; one seed cannot tell."""
        return self.half is not None and abs(self.mean) > self.half


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's 95 % interval, t(0.975, n - 1) · s / √n."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return Estimate(float(data.mean()), None)
    from scipy import stats

    spread = stats.sem(data)
    return Estimate(float(data.mean()), float(stats.t.ppf(0.975, len(data) - 1) * spread))


def values(row: Row, users: str, metric: str) -> list[float] | None:
    """The metric of each seed; None where a seed lacks it."""
    found = [result["test"].get(users, {}).get(metric) for result in row.results]
    return None if None in found else found


def improvements(row: Row, users: str, metric: str) -> list[float] | None:
    """RI (%) of each seed against its own baseline; None without one."""
    if row.baseline is None:
        return None
    own = values(row, users, metric)
    base = values(Row(row.config, row.seeds, row.baseline, None), users, metric)
    if own is None or base is None:
        return None
    return [relative_improvement(a, b) for a, b in zip(base, own, strict=True)]


def draws_of(row: Row, users: str, metric: str) -> NDArray[np.float64] | None:
    """[draws], the mean over seeds for each draw of the test's users; NaN where a draw lacks a class for a seed.

    None where users were not drawn, or a seed lacks the metric.
    """
    found = [result.get("over_users", {}).get(users, {}).get(metric) for result in row.results]
    return None if any(values is None for values in found) else np.mean(found, axis=0)


def _over_users(found: NDArray[np.float64] | None) -> str:
    """The interval of the mean over seeds, the seeds' models as they are."""
    if found is None or np.isnan(found).all():
        return "-"
    from mailcli.bootstrap import interval

    return " to ".join(_unsigned(f"{end:.4f}") for end in interval(found))


def _metric(found: list[float] | None) -> str:
    if found is None:
        return "-"
    mean, half = estimate(found)
    return _unsigned(f"{mean:.4f}") + (f" ±{_unsigned(f'{half:.4f}')}" if half is not None else "")


def _unsigned(text: str) -> str:
    """`.5862`, as the paper prints it."""
    return text.removeprefix("0")


def _improvement(found: list[float] | None) -> str:
    if found is None:
        return ""
    ri = estimate(found)
    if ri.half is None:
        return f"{ri.mean:+.2f}"
    return f"{ri.mean:+.2f} ±{ri.half:.2f}" + ("" if ri.significant else " n.s.")


def _papers(numbers: dict[str, Any]) -> list[str]:
    """AUC, GAUC and RI of the paper, empty where it gives none."""
    cells = [_unsigned(f"{numbers[m]:.4f}") if m in numbers else "" for m in METRICS]
    return [*cells, f"{numbers['RI AUC']:+.2f}" if "RI AUC" in numbers else ""]


def _label(row: Row) -> str:
    """The row's name with the options that make it another model than the name says."""
    options = {**row.config.ranker_options, **row.config.cold_start_options}
    shown = [f"{key}={value}" for key, value in options.items() if key != "variant"]
    return " ".join([row_name(row.config), *([f"({', '.join(shown)})"] if shown else [])])


def _settings(config: RunConfig) -> str:
    """The settings shared by a table's rows that are not at their defaults."""
    shown = {f.name: getattr(config, f.name) for f in fields(RunConfig) if f.default is not MISSING}
    own = {"ranker", "cold_start", "seed", "protocol", "new_share"}
    changed = [f"{k} {v}" for k, v in shown.items() if k not in own and v != getattr(RunConfig, k)]
    return ", ".join(changed) or "at their defaults"


def _score_conversions(rows: Sequence[Row]) -> bool:
    return any(CONVERSION_METRICS[0] in result["test"]["all"] for row in rows for result in row.results)


def _were_users_drawn(rows: Sequence[Row]) -> bool:
    return any("over_users" in result for row in rows for result in row.results)


def _with_intervals(names: Sequence[str], drawn: bool) -> list[str]:
    """Columns of metrics, each with that of its interval over users."""
    return [column for name in names for column in ([name, "over users"] if drawn else [name])]


def _metric_cells(row: Row, users: str, names: Sequence[str], drawn: bool) -> list[str]:
    cells = []
    for name in names:
        cells.append(_metric(values(row, users, name)))
        if drawn:
            cells.append(_over_users(draws_of(row, users, name)))
    return cells


def metrics_table(rows: Sequence[Row], with_paper: bool = False) -> Table:
    """AUC, GAUC and RI of new, old and all users, a block each; the paper's numbers beside where asked for.

    Where users were drawn, each metric has its 95 % interval over users beside it.
    """
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("", no_wrap=True)
    conversions = CONVERSION_METRICS if _score_conversions(rows) else ()
    drawn = _were_users_drawn(rows)
    for name in (
        *_with_intervals(METRICS, drawn),
        *(f"RI {metric} %" for metric in METRICS),
        *_with_intervals(conversions, drawn),
        *(["paper AUC", "GAUC", "RI %"] if with_paper else []),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for users in TITLES:
        shown = [row for row in rows if any(users in result["test"] for result in row.results)]
        if shown:
            table.add_row(TITLES[users], style="bold")
        for row in shown:
            name = row_name(row.config)
            label = _label(row)
            cells = _metric_cells(row, users, METRICS, drawn)
            cells += [_improvement(improvements(row, users, m)) for m in METRICS]
            cells += _metric_cells(row, users, conversions, drawn)
            cells += _papers(reported(name, users)) if with_paper else []
            table.add_row(label, *cells, end_section=row is shown[-1])
    return table


def notes(rows: Sequence[Row], with_paper: bool = False) -> list[str]:
    """What must stand beside every number: data, protocol, seeds, how intervals are made, what was left out."""
    row = rows[0]
    first = row.results[0]
    same = all(each.seeds == row.seeds for each in rows)
    by_row = "; ".join(f"{_label(each)}: {', '.join(map(str, each.seeds))}" for each in rows)
    seeds = ", ".join(map(str, row.seeds)) if same else by_row
    interval = (
        "±: 95 % interval over seeds; RI is paired by seed, n.s. = no significant difference"
        if any(len(each.seeds) > 1 for each in rows)
        else "one seed: no interval over seeds, so no difference here is known to be significant"
    )
    shares = [r["test"]["all"]["one_class_impressions"] for each in rows for r in each.results]
    lines = [
        f"data {first['dataset']} | protocol {first['protocol']}, {row.config.new_share:.0%} of users new"
        f" | seeds {seeds}",
        f"settings: {_settings(row.config)}",
        interval,
        *(_notes_on_draws(rows) if _were_users_drawn(rows) else []),
        f"GAUC leaves out users of one class ({np.mean(shares):.1%} of the test impressions)",
    ]
    if any(each.baseline for each in rows):
        lines.append("RI: against the same ranker without a cold-start method, same seed")
    if _score_conversions(rows):
        lines.append("CTCVR: of impressions that are clicked and then converted, by pCTCVR = pCTR x pCVR")
    if with_paper:
        lines.append("paper: its numbers on about 6 M impressions of Alimama; not comparable with other data")
    return lines


def _notes_on_draws(rows: Sequence[Row]) -> list[str]:
    """What the intervals over users are of, and what they are not."""
    found = [
        values
        for row in rows
        for users in TITLES
        for metric in (*METRICS, *CONVERSION_METRICS)
        if (values := draws_of(row, users, metric)) is not None
    ]
    shares = [float(np.isnan(values).mean()) for values in found]
    # Where no draw has both classes, there is no interval either.
    undefined = max(share for share in [0.0, *shares] if share < 1)
    return [
        f"over users: 95 % interval of the mean beside it, {len(found[0]):,} draws of the test's users with all their "
        "impressions, the trained models as they are",
        "over users: not of differences between rows, which share the users and the draws",
        *([f"over users: draws without both classes are left out (at most {undefined:.1%})"] if undefined else []),
    ]


def print_table(rows: Sequence[Row], title: str, with_paper: bool = False) -> None:
    """Print a table and its notes to stdout."""
    console = Console(highlight=False, markup=False)
    table = metrics_table(rows, with_paper)
    # A number is never cut: in a narrow terminal the lines wrap.
    console.width = max(console.width, console.measure(table, options=console.options.update(width=500)).maximum)
    console.print(title, style="bold")
    console.print(table)
    for line in notes(rows, with_paper):
        console.print(line, style="dim", soft_wrap=True)
