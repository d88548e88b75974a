"""Figures inside a page: they share no names with each other, and take the page's colors."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from mailcli.reporting.report.svg import PAGE_STYLE, to_svg
from tests.helpers.hostile_names import WORST, seen
from tests.helpers.html_pages import HtmlPage


def drawn(name: str, alt: str = "A line.") -> str:
    with mpl.rc_context(PAGE_STYLE):
        figure = Figure(figsize=(2, 1))
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], marker="o", label="a < b & c")
        axis.set_title("a < b & c")
    return to_svg(figure, name, alt)


def test_two_figures_on_a_page_share_no_ids() -> None:
    one, other = HtmlPage(drawn("one")), HtmlPage(drawn("other"))
    assert len(one.ids) == len(set(one.ids)) > 5
    assert set(one.ids).isdisjoint(other.ids)
    named = {value[1:] for _, name, value in one.attributes if name == "href"}
    clips = {value[5:-1] for _, name, value in one.attributes if name == "clip-path"}
    assert named
    assert clips
    assert named | clips <= set(one.ids)


def test_a_figure_is_of_the_page() -> None:
    text = drawn("one", f'the "alt" {WORST}')
    assert text == drawn("one", f'the "alt" {WORST}')
    page = HtmlPage(text)
    # No rules for other figures, no background, no fixed size, no addresses.
    assert {"style", "metadata"}.isdisjoint(element[0] for element in page.structure)
    assert "stroke: currentcolor" in text
    for part in ("http", "#ffffff", "#000000", "ns0:", "xmlns"):
        assert part not in text, part
    root = {name: value for tag, name, value in page.attributes if tag == "svg"}
    assert set(root) == {"viewbox", "role", "aria-label"}
    assert root["aria-label"] == f'the "alt" {seen(WORST)}'
    assert page.texts["text"].count("a < b & c") == 1
