"""The page of `mail report` in headless Chromium: it fits screens and phones, sorts, filters, and complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.browser import Page, open_browser
from tests.helpers.command_line import mail

ROOT = Path(__file__).parent.parent.parent
#: Kept results, so that nothing is trained: 14 rows with audits and curves, and a second table.
EXPERIMENTS = ("tuned/table2-ml-100k-strict.toml", "table3-ml-100k-strict.toml")
#: The texts of the cells of a column of the first table, group by group, without the headings.
COLUMN = """[...document.querySelector("table").tBodies].map((body) =>
    [...body.rows].filter((row) => row.cells.length > 1).map((row) => row.cells[{}].innerText.split(/\\s/)[0]))"""
CLICK = """document.querySelector("table").tHead.rows[0].cells[{}].querySelector("button").click()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("report")
    with open_browser(folder / "profile") as browser, pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        experiments = [f"experiments/{experiment}" for experiment in EXPERIMENTS]
        done = mail("report", *experiments, "--runs", "experiments/results", "-o", folder / "page.html")
        assert done.exit_code == 0, done.output
        browser.open(folder / "page.html")
        yield browser


@pytest.mark.slow
@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_or_scrolls_sideways(page: Page, width: int, scheme: str, tmp_path: Path) -> None:
    page.resize(width)
    page.prefer(scheme)
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.run("innerWidth") == width
    assert page.run("document.documentElement.scrollWidth") <= width
    # What is wider than the page scrolls in its own box.
    outside = """[...document.querySelectorAll("body *")].filter((element) => !element.closest(".scroll, .skip")
        && element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML.slice(0, 80))"""
    assert page.run(outside) == []
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert page.complaints == []


@pytest.mark.slow
def test_on_a_desktop_the_first_table_needs_no_scrolling(page: Page) -> None:
    page.resize(1366)
    box = "document.querySelector('.scroll:has(table)')"
    assert page.run(f"{box}.scrollWidth <= {box}.clientWidth")


@pytest.mark.slow
def test_texts_can_be_read_in_light_and_dark(page: Page) -> None:
    font = "[document.body, document.querySelector('svg text')].map((element) => getComputedStyle(element).fontFamily)"
    assert len(set(page.run(font))) == 1
    colors = "[document.body, document.querySelector('svg text')].map((element) => getComputedStyle(element))"
    shown = f"{colors}.map((style, number) => number ? style.fill : style.color)"
    by_scheme = {}
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        by_scheme[scheme] = page.run(shown)
        # The texts of figures have the color of the page's.
        assert len(set(by_scheme[scheme])) == 1
    assert by_scheme["light"] != by_scheme["dark"]


@pytest.mark.slow
def test_a_click_sorts_each_group_and_a_third_click_restores(page: Page) -> None:
    original = page.run(COLUMN.format(1))
    assert len(original) > 2
    for order in ("descending", "ascending"):
        page.run(CLICK.format(1))
        head = 'document.querySelector("table").tHead.rows[0].cells[1].getAttribute("aria-sort")'
        assert page.run(head) == order
        sorted_groups = page.run(COLUMN.format(1))
        for group, before in zip(sorted_groups, original, strict=True):
            numbers = [float(text.rstrip("↓")) for text in group if text != "-"]
            assert numbers == sorted(numbers, reverse=order == "descending")
            assert sorted(group) == sorted(before)
    page.run(CLICK.format(1))
    assert page.run(COLUMN.format(1)) == original
    # Rows without a value are last, whichever way round.
    for _ in range(2):
        page.run(CLICK.format(3))
        for group in page.run(COLUMN.format(3)):
            present = [bool(text) for text in group]
            assert present == sorted(present, reverse=True)
    page.run(CLICK.format(3))
    page.run(CLICK.format(0))
    names = page.run(COLUMN.format(0))[0]
    assert names == sorted(names, key=str.casefold)
    page.run(CLICK.format(0))
    page.run(CLICK.format(0))
    assert page.complaints == []


@pytest.mark.slow
def test_one_group_of_users_can_be_shown(page: Page) -> None:
    shown = (
        '[...document.querySelector("table").tBodies].filter((body) => !body.hidden).map((body) => body.dataset.title)'
    )
    everything = page.run(shown)
    buttons = "[...document.querySelector('.filter').children]"
    page.run(f"{buttons}.find((button) => button.textContent === 'old users').click()")
    assert page.run(shown) == ["old users"]
    page.run(f"{buttons}[0].click()")
    assert page.run(shown) == everything


@pytest.mark.slow
def test_a_link_to_a_folded_part_opens_it(page: Page) -> None:
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    page.run("document.querySelector('a[href$=-runs]').click()")
    assert page.run("new Promise((done) => setTimeout(() => done(document.querySelector('details[id$=-runs]').open)))")
