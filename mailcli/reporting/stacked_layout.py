"""A result table for a narrow terminal: its metrics one below the other, and short marks of p."""

from __future__ import annotations

from collections.abc import Iterator

from mailcli.reporting.captions import STACKED_TEXTS, TRIVIAL_MARK
from mailcli.reporting.cell_texts import estimate_cell, over_users_cell, short_improvement_text
from mailcli.reporting.columns import column_title
from mailcli.reporting.rows import CONVERSION_METRICS, METRICS, TITLES
from mailcli.reporting.tables import ResultLine, ResultTable
from mailcli.reporting.text_table import Layout, TextBlock, TextCell, unsigned


def stacked_layout(table: ResultTable) -> Layout:
    """A line for each metric of each row, and one below for its interval over users, if there is one."""
    head = ("", "", "", "RI %", *(["paper", "its RI %"] if table.with_reported else []))
    blocks = [
        TextBlock(TITLES[block[0].users], [cells for line in block for cells in _lines(table, line)])
        for block in table.blocks
    ]
    return Layout(head, tuple(blocks), tuple(map(_stacked_note, table.notes)), names=2)


def _stacked_note(note: str) -> str:
    for text, stacked in STACKED_TEXTS.items():
        note = note.replace(text, stacked)
    return note


def has_intervals(table: ResultTable, metric: str) -> bool:
    """Whether a column of intervals over users follows that of a metric."""
    return table.bootstrapped and metric in (*METRICS, *CONVERSION_METRICS)


def _lines(table: ResultTable, line: ResultLine) -> Iterator[list[TextCell]]:
    """The lines of a row of the table, the first one with its name."""
    name = f"{TRIVIAL_MARK}{line.name}" if line.trivial else line.name
    measured = {metric for other in table.lines for metric, cell in other.cells.items() if cell.estimate}
    for metric in (metric for metric in table.columns if metric in measured):
        gain = TextCell(short_improvement_text(line.improvements.get(metric)))
        value = estimate_cell(line.cells[metric], metric)
        yield [TextCell(name), TextCell(column_title(metric)), value, gain, *_reported(table, line, metric)]
        if line.cells[metric].over_users and has_intervals(table, metric):
            nothing = [TextCell("")] * (3 if table.with_reported else 1)
            yield [TextCell(""), TextCell("over users"), over_users_cell(line.cells[metric]), *nothing]
        name = ""


def _reported(table: ResultTable, line: ResultLine, metric: str) -> list[TextCell]:
    """A metric and its RI as the paper reports them, empty where it gives none; nothing without its columns."""
    if not table.with_reported:
        return []
    value, gain = line.reported.get(metric), line.reported.get(f"RI {metric}")
    return [TextCell("" if value is None else unsigned(value)), TextCell("" if gain is None else f"{gain:+.2f}")]
