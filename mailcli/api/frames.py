"""Result tables as DataFrames."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mailcli.metrics.statistics import Estimate, Improvement
from mailcli.reporting.rows import METRICS
from mailcli.reporting.tables import ResultLine, ResultTable


def result_frame(table: ResultTable) -> pd.DataFrame:
    """A line for each group of users and row, with the numbers of the table that `mail` prints.

    The columns of a metric are its mean over seeds and `±`, half of the 95% interval; `RI ... %` is the improvement
    over the same ranker without a method, with `±` and `p` (Holm-corrected). Columns without any number are left out.
    The title and the notes of the table are in `attrs`.
    """
    records = [_record(line, table.columns) for line in table.lines]
    frame = pd.DataFrame.from_records(records).set_index(["users", "row"]).dropna(axis="columns", how="all")
    frame.attrs = {"title": table.title, "notes": list(table.notes)}
    return frame


def _record(line: ResultLine, metrics: tuple[str, ...]) -> dict[str, Any]:
    record: dict[str, Any] = {"users": line.users, "row": line.name}
    for metric in metrics:
        record |= _estimate(metric, line.cells[metric].estimate)
    for metric in METRICS:
        if metric in metrics:
            record |= _improvement(f"RI {metric}", line.improvements[metric])
    return record


def _estimate(name: str, estimate: Estimate | None) -> dict[str, Any]:
    mean, half_width = (estimate.mean, estimate.half_width) if estimate else (None, None)
    return {name: mean, f"{name} ±": half_width}


def _improvement(name: str, gain: Improvement | None) -> dict[str, Any]:
    mean, half_width, p = (gain.mean, gain.half_width, gain.adjusted_p) if gain else (None, None, None)
    return {f"{name} %": mean, f"{name} % ±": half_width, f"{name} p": p}
