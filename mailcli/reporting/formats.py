"""The forms in which people and programs read tables: the terminal, Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence

from mailcli.escape import csv_cell, latex, markdown, markdown_row
from mailcli.reporting.terminal_table import terminal_table
from mailcli.reporting.text_table import TextCell, TextTable

#: How a cell of rank 0, 1 (best) and 2 (second best) is marked in Markdown and LaTeX: the text before and after.
_MARKDOWN_MARKS = (("", ""), ("**", "**"), ("<u>", "</u>"))
_LATEX_MARKS = (("", ""), (r"\textbf{", "}"), (r"\underline{", "}"))


def render(tables: TextTable | Sequence[TextTable], form: str) -> str:
    """One table, or several, in one of the forms.

    Args:
        tables: in JSON, a single table is an object and a sequence is a list.
        form: a key of FORMATS, or `json`.
    """
    sequence = [tables] if isinstance(tables, TextTable) else tables
    if form != "json":
        return FORMATS[form](sequence)
    objects = [{"title": table.title, "notes": table.notes, "results": table.records} for table in sequence]
    return json.dumps(objects[0] if isinstance(tables, TextTable) else objects, indent=2) + "\n"


def _terminal(table: TextTable) -> str:
    """As wide as the terminal at most; elsewhere, lines may be long."""
    return terminal_table(table, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)


def _markdown(table: TextTable) -> str:
    row, width = markdown_row, len(table.head)
    lines = [f"**{markdown(table.title)}**", "", row(map(markdown, table.head))]
    lines.append(row(["---", *["---:"] * (width - 1)]))
    for block in table.blocks:
        if block.title:
            lines.append(row([f"*{markdown(block.title)}*", *[""] * (width - 1)]))
        lines += [row(_marked(cell, _MARKDOWN_MARKS, markdown) for cell in line) for line in block.lines]
    return "\n".join([*lines, "", *(f"- {markdown(note)}" for note in _detailed_notes(table)), ""])


def _latex(table: TextTable) -> str:
    def row(cells: Iterable[str]) -> str:
        return " & ".join(cells) + r" \\"

    width = len(table.head)
    lines = [r"\begin{table}", rf"\caption{{{latex(table.title)}. {latex('; '.join(_detailed_notes(table)))}.}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule", row(map(latex, table.head))]
    for block in table.blocks:
        lines += [r"\midrule"]
        if block.title:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex(block.title)}}}}} \\")
        lines += [row(_marked(cell, _LATEX_MARKS, latex) for cell in line) for line in block.lines]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _detailed_notes(table: TextTable) -> tuple[str, ...]:
    return table.notes if table.detailed_notes is None else table.detailed_notes


def _marked(cell: TextCell, marks: Sequence[tuple[str, str]], escape: Callable[[str], str]) -> str:
    before, after = marks[cell.rank]
    return before + escape(cell.text + cell.detail) + after


def _csv(tables: Sequence[TextTable]) -> str:
    # Every line says which table it is from, and on which data and protocol.
    rows = [{"table": table.title, **record, "caption": table.notes[0]} for table in tables for record in table.records]
    text = io.StringIO()
    # Tables of several kinds share the columns that both have.
    columns = [*dict.fromkeys(column for row in rows for column in row if column != "caption"), "caption"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows([csv_cell(_joined(row.get(column))) for column in columns] for row in rows)
    return text.getvalue()


def _joined(value: object) -> object:
    """A list, such as the seeds, as one cell: `0 1 2`."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _one_by_one(form: Callable[[TextTable], str]) -> Callable[[Sequence[TextTable]], str]:
    return lambda tables: "\n".join(map(form, tables))


#: The forms of `--format` besides JSON.
FORMATS: dict[str, Callable[[Sequence[TextTable]], str]] = {
    "table": _one_by_one(_terminal),
    "markdown": _one_by_one(_markdown),
    "csv": _csv,
    "latex": _one_by_one(_latex),
}
