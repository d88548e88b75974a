"""The page of a report: names are text wherever they stand, and columns are sorted by numbers."""

from __future__ import annotations

import pytest

from mailcli.config import make_config
from mailcli.reporting.report.content import Fact, ReportFigure, ReportPart, ReportSection
from mailcli.reporting.report.details import own_settings
from mailcli.reporting.report.page import page_cell, render_page
from mailcli.reporting.rows import Row
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable
from tests.helpers.hostile_names import PIECES, WORST, assert_harmless, seen
from tests.helpers.html_pages import HtmlPage


@pytest.mark.parametrize(
    ("text", "detail", "main", "rest", "key"),
    [
        (".5600 ±.0248", " (.0100)", ".5600", "±.0248 (.0100)", 0.56),
        (".5600↓ ±.0248", "", ".5600", "±.0248", 0.56),
        ("-0.54 ±0.66, p .072 n.s.", "", "-0.54", "±0.66, p .072 n.s.", -0.54),
        ("-.0123 ±.0077", " [-.0200, -.0046]", "-.0123", "±.0077 [-.0200, -.0046]", -0.0123),
        ("12,345,678", "", "12,345,678", "", 12345678),
        ("+3.00", "", "+3.00", "", 3),
        ("0", "", "0", "", 0),
        ("-", "", "-", "", None),
        ("", "", "", "", None),
        ("undefined", "", "undefined", "", None),
        ("1e-05", "", "1e-05", "", 0.00001),
        ("512,256,x", "", "512,256,x", "", None),
        ("sparse_adam", "", "sparse_adam", "", None),
    ],
)
def test_a_cell_is_sorted_by_its_number(text: str, detail: str, main: str, rest: str, key: float | None) -> None:
    cell = page_cell(TextCell(text, detail, rank=1, sign=-1))
    assert cell == (main, "↓" if "↓" in text else "", rest, key, 1, -1)


def test_a_list_of_numbers_is_no_number() -> None:
    """`8,4` and `8` are values of one setting, so the column is sorted as texts."""
    rows = [
        Row(make_config([{"data": "toy", "learning_rate": rate, "ranker.units": units}]), (0,), (), None)
        for rate, units in ((1e-5, "8,4"), (2e-5, "8"))
    ]
    (table,) = own_settings(rows, "data toy")
    assert table.head == ("", "learning_rate", "ranker.units")
    assert [[page_cell(cell).key for cell in line[1:]] for line in table.blocks[0].lines] == [
        [0.00001, None],
        [0.00002, None],
    ]


def section(name: str) -> ReportSection:
    """A section with a name in every place."""
    lines = [[TextCell(f"row {name}."), TextCell(f"cell {name}.")], [TextCell("trivial: x"), TextCell(".5 ±.1")]]
    blocks = (TextBlock(f"block {name}.", lines), TextBlock("", lines))
    table = TextTable(f"table {name}.", ("", f"head {name}."), blocks, (f"data {name}.", f"note {name}."), [])
    figure = ReportFigure("<svg></svg>", f"alt {name}.")
    return ReportSection(
        title=f"title {name}.",
        dataset=f"dataset {name}.",
        badges=[f"badge {name}."],
        reading=f"reading {name}.",
        facts=[Fact(f"fact {name}.", f"value {name}.", f"detail {name}.")],
        parts=[
            ReportPart("results", f"part {name}.", f"lead {name}.", [table], [figure]),
            ReportPart("more", f"folded {name}.", f"lead {name}.", [table], folded=True),
        ],
        csv=f"a,{name}\n",
        command=f"command {name}.",
        environment=[f"environment {name}."],
    )


PLACES = ("title", "dataset", "badge", "reading", "fact", "value", "detail", "part", "lead", "table", "head", "block")


@pytest.mark.parametrize("name", [WORST, "".join(PIECES), "\"' onload='x'</script></style>", "{{ 7 * 7 }}{% raw %}"])
def test_every_name_is_text_everywhere(name: str) -> None:
    text = render_page([section(name), section(name)])
    assert_harmless(text)
    page, plain = HtmlPage(text), HtmlPage(render_page([section("x"), section("x")]))
    # Whatever it is called, the page has the same elements with the same attributes.
    assert page.structure == plain.structure
    for place in (*PLACES, "row", "cell", "data", "note", "folded", "command", "environment"):
        assert page.text.count(f"{place} {seen(name)}.") == plain.text.count(f"{place} x."), place
    assert page.loaded == []


def test_the_same_sections_give_the_same_bytes() -> None:
    assert render_page([section("x")]) == render_page([section("x")])
