"""Tables of texts that are not results of cells and seeds, in the forms of `--format`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table as RichTable

from mailcli.reporting.formats import piped, printed

#: What LaTeX takes for commands.
_SPECIAL = re.compile(r"([&%$#_{}])")


@dataclass(frozen=True)
class Sheet:
    """A table: texts for people, and the same numbers for programs."""

    title: str
    head: tuple[str, ...]
    blocks: dict[str, list[list[str]]]
    """Lines by the block's title; the first text of a line is its name."""
    notes: tuple[str, ...]
    records: list[dict[str, Any]]
    """What CSV and JSON hold: a flat record for each number."""


def _terminal(sheet: Sheet) -> str:
    shown = RichTable(show_edge=False, pad_edge=False)
    for place, name in enumerate(sheet.head):
        shown.add_column(name, justify="right" if place else "left", no_wrap=True)
    for title, lines in sheet.blocks.items():
        shown.add_row(title, style="bold")
        for line in lines:
            shown.add_row(*line, end_section=line is lines[-1])
    return printed(sheet.title, shown, sheet.notes)


def _markdown(sheet: Sheet) -> str:
    lines = [f"**{sheet.title}**", "", piped(list(sheet.head)), piped(["---", *["---:"] * (len(sheet.head) - 1)])]
    for title, block in sheet.blocks.items():
        lines += [piped([f"*{title}*", *[""] * (len(sheet.head) - 1)]), *map(piped, block)]
    return "\n".join([*lines, "", *(f"- {note}" for note in sheet.notes), ""])


def _latex(sheet: Sheet) -> str:
    def plain(text: str) -> str:
        return _SPECIAL.sub(r"\\\1", text).replace("<", "$<$").replace("±", r"$\pm$")

    def row(cells: list[str]) -> str:
        return " & ".join(map(plain, cells)) + r" \\"

    width = len(sheet.head)
    lines = [r"\begin{table}", rf"\caption{{{plain(sheet.title)}. {plain('; '.join(sheet.notes))}.}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule", row(list(sheet.head))]
    for title, block in sheet.blocks.items():
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{plain(title)}}}}} \\", *map(row, block)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _csv(sheet: Sheet) -> str:
    text = io.StringIO()
    # Whoever opens the file sees on each line which data it is of.
    found = [{"table": sheet.title, **record, "caption": sheet.notes[0]} for record in sheet.records]
    writer = csv.DictWriter(text, found[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def _json(sheet: Sheet) -> str:
    return json.dumps({"title": sheet.title, "notes": sheet.notes, "results": sheet.records}, indent=2) + "\n"


#: The forms of `--format`.
FORMATS: dict[str, Callable[[Sheet], str]] = {
    "table": _terminal,
    "markdown": _markdown,
    "csv": _csv,
    "latex": _latex,
    "json": _json,
}
