"""The columns of result tables, for `--columns`: metrics of a group of users, and what a row costs."""

from __future__ import annotations

from typing import NamedTuple

from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.metrics.calibration import CALIBRATION_METRICS
from mailcli.reporting.rows import COST_METRICS, METRICS
from mailcli.reporting.text_table import unsigned

#: The name in `--columns` -> the metric.
COLUMNS = {
    **dict(zip(("auc", "gauc"), METRICS, strict=True)),
    **dict(zip(("logloss", "ne", "ece"), CALIBRATION_METRICS, strict=True)),
    **dict(zip(("parameters", "seconds", "scoring_us"), COST_METRICS, strict=True)),
}


class _CostColumn(NamedTuple):
    title: str
    form: str
    note: str


_COST_COLUMNS = {
    "parameters": _CostColumn("parameters", "{:,.0f}", "all numbers of the model, embeddings included"),
    "training_seconds": _CostColumn(
        "training s",
        "{:,.1f}",
        "seconds of training with validations, mean over seeds; of a two-stage method only its own fit",
    ),
    "scoring_microseconds": _CostColumn("scoring us", "{:,.1f}", "microseconds per impression of the test split"),
}
_CALIBRATION_NOTES = {
    "log loss": "mean over impressions, lower is better",
    "NE": "log loss / entropy of the group's click rate; 1 is what that rate reaches, lower is better",
    "ECE": "expected calibration error over 15 bins of equally many impressions, lower is better",
}


def read_columns(names: str | None) -> tuple[str, ...]:
    """The metrics that `--columns` names, in its order; AUC and GAUC where it is not given.

    Raises:
        MailError: a name is unknown.
    """
    if names is None:
        return METRICS
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in COLUMNS:
            raise MailError(
                f"--columns {names}: unknown column '{name}'.{did_you_mean(name, COLUMNS)} Known: {quoted(COLUMNS)}."
            )
    return tuple(COLUMNS[name] for name in chosen)


def column_title(metric: str) -> str:
    """The head of a metric's column."""
    return _COST_COLUMNS[metric].title if metric in _COST_COLUMNS else metric


def number_text(metric: str, number: float) -> str:
    """A number of a metric, as a table shows it: `.5862`; `12,345` parameters."""
    return _COST_COLUMNS[metric].form.format(number) if metric in _COST_COLUMNS else unsigned(number)


def direction(metric: str) -> int:
    """1 where higher is better, -1 where lower is, and 0 for what a row costs, by which rows are not ranked."""
    if metric in COST_METRICS:
        return 0
    return -1 if metric.removeprefix("CTCVR ") in CALIBRATION_METRICS else 1


def column_notes(columns: tuple[str, ...], with_trivial: bool) -> list[str]:
    """What the columns other than AUC and GAUC mean.

    Args:
        columns: the metrics that are shown.
        with_trivial: whether there are trivial rows.
    """
    notes = {**_CALIBRATION_NOTES, **{metric: column.note for metric, column in _COST_COLUMNS.items()}}
    texts = [f"{column_title(metric)}: {notes[metric]}" for metric in columns if metric in notes]
    calibrations = [metric for metric in columns if metric in CALIBRATION_METRICS]
    if calibrations and with_trivial:
        texts.append(f"{', '.join(calibrations)}: trivial rows are not compared, for most are not calibrated")
    return texts
