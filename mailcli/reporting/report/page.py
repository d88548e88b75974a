"""Sections -> one page of HTML: style and script are in it, and it loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mailcli import __version__
from mailcli.escape import html
from mailcli.reporting.captions import BELOW_TRIVIAL_MARK, TRIVIAL_MARK
from mailcli.reporting.report.content import ReportSection
from mailcli.reporting.result_layout import DETAILS_LEGEND
from mailcli.reporting.text_table import TextCell, TextTable

_FOLDER = Path(__file__).parent
_NUMBER = re.compile(r"[+-]?(?:\d[\d,]*)?\.?\d+(?:[eE][+-]?\d+)?(?![\w,])")
_PLUS_MINUS = " ±"


class PageCell(NamedTuple):
    """A cell as the page shows it."""

    main: str
    """The number."""
    mark: str
    """Of a number below that of the best trivial row."""
    rest: str
    """Its interval and significance, on a line of their own."""
    key: float | None
    """By which a column is sorted; None for a text."""
    rank: int
    sign: int


def render_page(sections: Sequence[ReportSection]) -> str:
    """The page (sections: one or more). The same sections give the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"cell": page_cell, "notes": _notes, "row_name": _row_name}
    script = _read("page.js")
    text: str = environment.get_template("page.html").render(
        sections=sections,
        title=sections[0].title if len(sections) == 1 else f"{len(sections)} tables of results",
        is_simulated=any(section.is_simulated for section in sections),
        version=__version__,
        style=Markup(_read("page.css")),
        script=Markup(script),
        policy=_policy(script),
        svg=Markup,
        data_url=_data_url,
    )
    return text


def page_cell(cell: TextCell) -> PageCell:
    """`.5600 ±.0248 (.0100)` as a number, and what belongs to it."""
    main, plus_minus, rest = cell.text.partition(_PLUS_MINUS)
    rest = (plus_minus + rest + cell.detail).strip()
    below = BELOW_TRIVIAL_MARK if main.endswith(BELOW_TRIVIAL_MARK) else ""
    number = None if cell.is_text else _NUMBER.match(main)
    key = float(number[0].replace(",", "")) if number else None
    return PageCell(main.removesuffix(below), below, rest, key, cell.rank, cell.sign)


def _escaped(value: Any) -> Markup:
    """What the template writes: text as text, whoever chose it; only the page's own parts are HTML."""
    return value if isinstance(value, Markup) else Markup(html(value))


def _notes(table: TextTable, earlier: Sequence[TextTable] = ()) -> list[str]:
    """The notes below a table: not the first, which stands above it, nor those below an earlier table of the part."""
    is_ranked = any(cell.rank for block in table.blocks for line in block.lines for cell in line[1:])
    has_deviation = DETAILS_LEGEND in (table.detailed_notes or ())
    notes = [*table.notes[1:], *([DETAILS_LEGEND] if has_deviation and is_ranked else [])]
    known = {note for other in earlier for note in _notes(other)}
    return [note for note in notes if note not in known]


def _row_name(name: str) -> tuple[str, str]:
    """The mark of a trivial row without its colon, or nothing, and the name."""
    return (
        (TRIVIAL_MARK.removesuffix(": "), name.removeprefix(TRIVIAL_MARK))
        if name.startswith(TRIVIAL_MARK)
        else ("", name)
    )


def _data_url(csv: str) -> str:
    """A `data:` URL that holds a CSV file."""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(csv.encode()).decode()}"


def _policy(script: str) -> str:
    """A policy by which a browser loads nothing and runs no script but the page's own."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
