"""Lays the numbers of a result table out as text: columns, cells and records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailcli.metrics.statistics import Improvement
from mailcli.reporting.audit_block import audit_block
from mailcli.reporting.best_epochs import BestEpochs
from mailcli.reporting.captions import PAPER_NOTES, TRIVIAL_MARK
from mailcli.reporting.cell_texts import estimate_cell, improvement_cell, improvement_text, over_users_cell
from mailcli.reporting.columns import column_title
from mailcli.reporting.rows import COST_METRICS, METRICS, TITLES
from mailcli.reporting.stacked_layout import has_intervals, stacked_layout
from mailcli.reporting.tables import MetricCell, ResultLine, ResultTable
from mailcli.reporting.text_table import Layout, TextBlock, TextCell, TextTable, unsigned

#: Explains what only the forms with details show.
DETAILS_LEGEND = "in round brackets: standard deviation over seeds; best bold, second best underlined"


def lay_out(table: ResultTable) -> TextTable:
    """The table as text, the numbers rounded as the paper prints them."""
    shown = table if table.is_papers_own else _without_reported(table)
    return TextTable(
        table.title,
        tuple(_head(table)),
        _blocks(table),
        table.notes,
        _records(table),
        # A pipe would end a cell if a note were moved into the table.
        (*(note.replace("|", "/") for note in table.notes), DETAILS_LEGEND),
        layouts=(Layout(tuple(_head(shown)), _blocks(shown), shown.notes), stacked_layout(shown)),
    )


def _blocks(table: ResultTable) -> tuple[TextBlock, ...]:
    return tuple(TextBlock(TITLES[block[0].users], [_line(table, line) for line in block]) for block in table.blocks)


def _without_reported(table: ResultTable) -> ResultTable:
    """The table without a paper's numbers."""
    return replace(table, with_reported=False, notes=tuple(note for note in table.notes if note not in PAPER_NOTES))


def lay_out_with_audit(table: ResultTable) -> list[TextTable]:
    """The table, and the audit of its rows that generate behavior, if there are any."""
    audits = [audit_block(table.audits, table.title, table.audit_notes)] if table.audits else []
    return [lay_out(table), *audits]


def _split_columns(table: ResultTable) -> tuple[list[str], list[str]]:
    """The columns before those of RI, which have one, and those behind."""
    with_gain = [metric for metric in table.columns if metric in METRICS]
    return with_gain, [metric for metric in table.columns if metric not in METRICS]


def _head(table: ResultTable) -> list[str]:
    def names(metrics: list[str]) -> list[str]:
        return [
            name
            for metric in metrics
            for name in [column_title(metric), *(["over users"] if has_intervals(table, metric) else [])]
        ]

    with_gain, others = _split_columns(table)
    gains = [f"RI {metric} %" for metric in with_gain]
    reported = ["paper AUC", "paper GAUC", "paper RI AUC %"] if table.with_reported else []
    return ["", *names(with_gain), *gains, *names(others), *reported]


def _line(table: ResultTable, line: ResultLine) -> list[TextCell]:
    """A line's cells, in the order of `_head`."""

    def cells(metrics: list[str]) -> list[TextCell]:
        return [
            cell
            for metric in metrics
            for cell in [
                estimate_cell(line.cells[metric], metric),
                *([over_users_cell(line.cells[metric])] if has_intervals(table, metric) else []),
            ]
        ]

    with_gain, others = _split_columns(table)
    improvements = [line.improvements[metric] for metric in with_gain]
    gains = [improvement_cell(gain, improvement_text(gain)) for gain in improvements]
    reported = _reported(line) if table.with_reported else []
    name = TextCell(f"{TRIVIAL_MARK}{line.name}" if line.trivial else line.name)
    return [name, *cells(with_gain), *gains, *cells(others), *reported]


def _reported(line: ResultLine) -> list[TextCell]:
    """AUC, GAUC and RI as the paper reports them, empty where it gives none."""
    numbers = line.reported
    texts = [unsigned(numbers[metric]) if metric in numbers else "" for metric in METRICS]
    texts.append(f"{numbers['RI AUC']:+.2f}" if "RI AUC" in numbers else "")
    return [TextCell(text) for text in texts]


def _records(table: ResultTable) -> list[dict[str, Any]]:
    """A flat record for each line and metric."""
    return [
        {
            "users": line.users,
            "row": line.name,
            "trivial": line.trivial,
            "metric": metric,
            **cell_numbers(cell),
            **improvement_numbers(line.improvements.get(metric)),
            "reported": line.reported.get(metric),
            "reported_RI": line.reported.get(f"RI {metric}"),
            "seeds": list(line.seeds),
            **_epoch_numbers(line.epochs),
        }
        for line in table.lines
        for metric, cell in line.cells.items()
        # A row costs the same whoever the users are.
        if metric not in COST_METRICS or line.users == "all"
    ]


def _epoch_numbers(epochs: BestEpochs | None) -> dict[str, Any]:
    """The best epoch of each seed, the cap, and how many seeds were still improving when they reached it."""
    return {
        "best_epochs": list(epochs.by_seed) if epochs else None,
        "epoch_cap": epochs.cap if epochs else None,
        "still_improving": epochs.improving if epochs else None,
    }


def cell_numbers(cell: MetricCell) -> dict[str, Any]:
    """A cell in a record."""
    mean, deviation, half = cell.estimate or (None, None, None)
    low, high = cell.over_users or (None, None)
    return {
        "mean": mean,
        "deviation": deviation,
        "half_width_95": half,
        "place": cell.rank or None,
        "below_trivial": cell.below_trivial,
        "over_users_low": low,
        "over_users_high": high,
    }


def improvement_numbers(gain: Improvement | None) -> dict[str, Any]:
    """An improvement in a record."""
    mean, half, p, adjusted, equivalence = gain or (None, None, None, None, None)
    return {"RI": mean, "RI_half_width_95": half, "p": p, "p_holm": adjusted, "p_equivalence": equivalence}
