"""Tables in the forms that people and programs read: the terminal, Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mailcli.metrics.statistics import Estimate, Improvement
from mailcli.reporting.tables import METRICS, TITLES, Cell, Line, Table

Marks = tuple[Callable[[str], str], Callable[[str], str]]
"""How the best and the second best are marked."""

_PLAIN: Marks = (str, str)
_MARKDOWN: Marks = (lambda text: f"**{text}**", lambda text: f"<u>{text}</u>")
_LATEX: Marks = (lambda text: rf"\textbf{{{text}}}", lambda text: rf"\underline{{{text}}}")


def _unsigned(number: float) -> str:
    """`.5862`, as the paper prints it."""
    return f"{number:.4f}".removeprefix("0")


def _metric(found: Estimate | None, deviation: bool) -> str:
    if found is None:
        return "-"
    text = _unsigned(found.mean)
    if found.half_width is not None and found.deviation is not None:
        text += f" ±{_unsigned(found.half_width)}" + (f" ({_unsigned(found.deviation)})" if deviation else "")
    return text


def _over_users(cell: Cell) -> str:
    return " to ".join(map(_unsigned, cell.over_users)) if cell.over_users else "-"


def _p(p: float) -> str:
    return "p <.001" if p < 0.001 else f"p {p:.3f}".replace(" 0.", " .")


def _improvement(found: Improvement | None) -> str:
    if found is None:
        return ""
    text = f"{found.mean:+.2f}"
    if found.half_width is None or found.adjusted_p is None:
        return text
    return f"{text} ±{found.half_width:.2f}, {_p(found.adjusted_p)}" + ("" if found.significant else " n.s.")


def _head(table: Table) -> list[str]:
    names = ["", *_with_draws(table, METRICS), *(f"RI {metric} %" for metric in METRICS)]
    names += _with_draws(table, table.metrics[len(METRICS) :])
    return [*names, *(["paper AUC", "GAUC", "RI %"] if table.with_reported else [])]


def _with_draws(table: Table, metrics: tuple[str, ...]) -> list[str]:
    return [name for metric in metrics for name in ([metric, "over users"] if table.drawn else [metric])]


def _cells(table: Table, line: Line, marks: Marks, deviation: bool) -> list[str]:
    """A line's texts below `_head`."""

    def of(metrics: tuple[str, ...]) -> list[str]:
        texts = []
        for cell in (line.cells[metric] for metric in metrics):
            text = _metric(cell.estimate, deviation)
            texts.append(marks[cell.place - 1](text) if cell.place else text)
            if table.drawn:
                texts.append(_over_users(cell))
        return texts

    texts = [line.name, *of(METRICS), *(_improvement(line.improvements[metric]) for metric in METRICS)]
    texts += of(table.metrics[len(METRICS) :])
    return texts + (_reported(line) if table.with_reported else [])


def _reported(line: Line) -> list[str]:
    """AUC, GAUC and RI of the paper, empty where it gives none."""
    numbers = line.reported
    cells = [_unsigned(numbers[metric]) if metric in numbers else "" for metric in METRICS]
    return [*cells, f"{numbers['RI AUC']:+.2f}" if "RI AUC" in numbers else ""]


def rich_table(table: Table) -> RichTable:
    """For a terminal: the best of a block is bold, the second best underlined."""
    shown = RichTable(show_edge=False, pad_edge=False)
    for place, name in enumerate(_head(table)):
        shown.add_column(name, justify="right" if place else "left", no_wrap=True)
    columns = [place for place, name in enumerate(_head(table)) if name in table.metrics]
    for block in table.blocks:
        shown.add_row(TITLES[block[0].users], style="bold")
        for line in block:
            texts = [Text(text) for text in _cells(table, line, _PLAIN, deviation=False)]
            for column, metric in zip(columns, table.metrics, strict=False):
                texts[column].stylize(("", "bold", "underline")[line.cells[metric].place])
            shown.add_row(*texts, end_section=line is block[-1])
    return shown


def _terminal(tables: Sequence[Table]) -> str:
    return "\n".join(map(_on_terminal, tables))


def _on_terminal(table: Table) -> str:
    return printed(table.title, rich_table(table), table.notes)


def printed(title: str, shown: RichTable, notes: Sequence[str]) -> str:
    """A table with its title and notes, as a terminal shows it."""
    console = Console(highlight=False, markup=False)
    # A number is never cut: in a narrow terminal the lines wrap.
    console.width = max(console.width, console.measure(shown, options=console.options.update(width=500)).maximum)
    with console.capture() as captured:
        console.print(title, style="bold")
        console.print(shown)
        for line in notes:
            console.print(line, style="dim", soft_wrap=True)
    return captured.get()


def _markdown(tables: Sequence[Table]) -> str:
    return "\n".join(map(_in_markdown, tables))


def _in_markdown(table: Table) -> str:
    head = _head(table)
    lines = [f"**{table.title}**", "", piped(head), piped(["---", *["---:"] * (len(head) - 1)])]
    for block in table.blocks:
        lines.append(piped([f"*{TITLES[block[0].users]}*", *[""] * (len(head) - 1)]))
        lines += [piped(_cells(table, line, _MARKDOWN, deviation=True)) for line in block]
    notes = [*table.notes, "(in brackets: standard deviation over seeds); best bold, second best underlined"]
    return "\n".join([*lines, "", *(f"- {note.replace('|', '/')}" for note in notes), ""])


def piped(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


#: What LaTeX takes for commands.
_SPECIAL = re.compile(r"([&%$#_{}])")


def _latex(tables: Sequence[Table]) -> str:
    return "\n".join(map(_in_latex, tables))


def _in_latex(table: Table) -> str:
    def row(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    def plain(text: str) -> str:
        return _SPECIAL.sub(r"\\\1", text).replace("±", r"$\pm$").replace("<", "$<$")

    head = [plain(name) for name in _head(table)]
    marks: Marks = (lambda text: _LATEX[0](plain(text)), lambda text: _LATEX[1](plain(text)))
    lines = [r"\begin{table}", rf"\caption{{{plain(table.title)}. {plain('; '.join(table.notes))}.}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", row(head)]
    for block in table.blocks:
        lines += [r"\midrule", rf"\multicolumn{{{len(head)}}}{{l}}{{\emph{{{TITLES[block[0].users]}}}}} \\"]
        for line in block:
            cells = _cells(table, line, marks, deviation=True)
            lines.append(row([cell if cell.startswith("\\") else plain(cell) for cell in cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def records(table: Table) -> list[dict[str, Any]]:
    """A flat record for each row, group of users and metric."""
    return [
        {
            "users": line.users,
            "row": line.name,
            "metric": metric,
            **_numbers(cell),
            **_gain(line.improvements.get(metric)),
            "reported": line.reported.get(metric),
            "reported_RI": line.reported.get(f"RI {metric}"),
            "seeds": " ".join(map(str, line.seeds)),
        }
        for line in table.lines
        for metric, cell in line.cells.items()
    ]


def _numbers(cell: Cell) -> dict[str, Any]:
    mean, deviation, half = cell.estimate or (None, None, None)
    low, high = cell.over_users or (None, None)
    found = {"mean": mean, "deviation": deviation, "half_width_95": half, "place": cell.place or None}
    return {**found, "over_users_low": low, "over_users_high": high}


def _gain(found: Improvement | None) -> dict[str, Any]:
    mean, half, p, adjusted = found or (None, None, None, None)
    return {"RI": mean, "RI_half_width_95": half, "p": p, "p_holm": adjusted}


def _csv(tables: Sequence[Table]) -> str:
    # Whoever opens the file sees on each line which data and protocol it is of.
    found = [
        {"table": table.title, **record, "caption": table.notes[0]} for table in tables for record in records(table)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, found[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def _json(tables: Sequence[Table]) -> str:
    found = [{"title": table.title, "notes": table.notes, "results": records(table)} for table in tables]
    return json.dumps(found, indent=2) + "\n"


#: The forms of `--format`.
FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "table": _terminal,
    "markdown": _markdown,
    "csv": _csv,
    "latex": _latex,
    "json": _json,
}
