"""Tables on terminals of 80, 120 and 200 columns: no line is longer, no number is cut, nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.cells import cell_len

from mailcli.config import make_config
from mailcli.reporting.formats import render
from mailcli.reporting.paper import REPORTED
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import make_table
from mailcli.reporting.terminal_table import terminal_table
from mailcli.reporting.text_table import Layout, TextTable, text_block
from tests.helpers.results import BASE, MAIL, result, three_rows, with_draws

WIDTHS = (80, 120, 200)
#: Six columns of thirteen characters, under names as long as a row with options has them.
NAME = "MAIL-Base (steps=all, encoder_units=1024,512,512, decoder_units=512,1024)"
NUMBERS = [f"+.00{n}{m} ±.0{n}{m}1" for n in range(1, 3) for m in range(6)]
WIDE = TextTable(
    "Audit of v̂: a title that says on which dataset, under which protocol, and with how many seeds this is",
    ("", "another's v̂", "permuted", "mean v", "v = 0", "real v", "naturally"),
    (text_block("AUC of new users", [[NAME, *NUMBERS[:6]], ["short", *NUMBERS[6:]]]),),
    (
        "data toy | a note of many words, none of which is broken, although the line is longer than 80 columns",
        "x" * 250,
    ),
    [],
)


def drawn_rows() -> list[Row]:
    """Four rows with intervals over users, one of them trivial."""
    draws = {"new": [0.5, 0.6] * 20, "old": [0.7] * 40, "all": [0.6] * 40}
    scored = tuple(with_draws(result(0.55 + 0.01 * seed, 0.7), **draws) for seed in range(3))
    rate = make_config([{"data": "toy", "ranker": "item-rate"}])
    method = make_config([{"data": "toy", "ranker": "dmr", "cold_start": "mail", "cold_start.steps": "all"}])
    rows = [Row(rate, (0, 1, 2), scored, None), Row(BASE, (0, 1, 2), scored, None)]
    return [*rows, *(Row(config, (0, 1, 2), scored, scored[::-1]) for config in (MAIL, method))]


TABLES = {
    "results": lay_out(make_table(three_rows(), "Comparison", REPORTED)),
    "over users": lay_out(
        make_table(drawn_rows(), "Comparison", REPORTED, ("AUC", "GAUC", "log loss", "parameters", "training_seconds"))
    ),
    "wide": WIDE,
}


def plain(table: TextTable, width: int | None) -> list[str]:
    """The lines, without colors."""
    return re.sub(r"\x1b\[[\d;]*m", "", terminal_table(table, width)).splitlines()


def cells(lines: Sequence[str]) -> list[list[str]]:
    return [[cell.strip() for cell in re.split("[│┃]", line)] for line in lines if re.search("[│┃]", line)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_no_line_is_longer_than_the_terminal_is_wide(name: str, width: int) -> None:
    lines = plain(TABLES[name], width)
    assert max(map(cell_len, lines)) <= width
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40, *WIDTHS, None])
def test_every_number_is_there_once(width: int | None) -> None:
    text = "\n".join(plain(WIDE, width))
    assert [text.count(number) for number in NUMBERS] == [1] * 12


def test_notes_and_titles_are_broken_between_words() -> None:
    lines = plain(WIDE, 80)
    assert lines[:2] == [
        "Audit of v̂: a title that says on which dataset, under which protocol, and with",
        "  how many seeds this is",
    ]
    assert lines[-6:] == [
        "data toy | a note of many words, none of which is broken, although the line is",
        "  longer than 80 columns",
        # A word that is longer than a line is broken where the line ends.
        "x" * 80,
        "  " + "x" * 78,
        "  " + "x" * 78,
        "  " + "x" * 14,
    ]
    assert plain(WIDE, None)[-2:] == list(WIDE.notes)


def test_auc_stands_over_gauc_where_there_is_no_room_beside_it() -> None:
    table = lay_out(make_table(three_rows(), "Comparison"))
    head, _, *lines = cells(plain(table, 60))
    assert head == ["", "", "", "RI %"]
    # BaseDNN, MAIL-Base, MAIL-None: 12% better and 2.67% worse; p .018 and .057.
    assert lines[:6] == [
        ["BaseDNN", "AUC", ".5000 ±.0000", ""],
        ["", "GAUC", ".4000 ±.0000", ""],
        ["MAIL-Base", "AUC", ".5600 ±.0248", "+12.00 ±4.97 *"],
        ["", "GAUC", ".4600 ±.0248", "+15.00 ±6.21 *"],
        ["MAIL-None", "AUC", ".4867 ±.0143", "-2.67 ±2.87"],
        ["", "GAUC", ".3867 ±.0143", "-3.33 ±3.59"],
    ]
    note = "±: 95% interval over seeds; * p < .05, ** p < .01, no mark = no significant difference at 5%"
    assert note in " ".join(line.strip() for line in plain(table, 60))
    assert cells(plain(table, 200))[0] == ["", "AUC", "GAUC", "RI AUC %", "RI GAUC %"]


def test_an_interval_over_users_stands_under_its_mean() -> None:
    lines = cells(plain(TABLES["over users"], 80))
    place = next(number for number, line in enumerate(lines) if line[0] == "MAIL-Base")
    assert [line[:3] for line in lines[place : place + 2]] == [
        ["MAIL-Base", "AUC", ".5600 ±.0248"],
        ["", "over users", ".5000 to .6000"],
    ]


def test_a_papers_numbers_are_shown_only_beside_its_own_data() -> None:
    shown = lay_out(make_table(three_rows(), "Comparison", REPORTED))
    hidden = lay_out(make_table(three_rows(), "Comparison", REPORTED, is_papers_own=False))
    for width in (*WIDTHS, None):
        assert ".5934" in "\n".join(plain(shown, width))
        text = "\n".join(plain(hidden, width))
        assert ".5934" not in text
        assert "paper:" not in text
    # Other forms have them in any case.
    for form in ("markdown", "csv", "latex", "json"):
        assert render([hidden], form) == render([shown], form)
        assert "5934" in render([hidden], form)


def test_columns_and_blocks_without_a_number_are_left_out() -> None:
    blocks = (
        text_block("new users", [["A", ".5", "-", ""], ["B", "-", "-", ""]]),
        text_block("naturally new", [["A", "-", "-", ""], ["B", "-", "", ""]]),
    )
    layout = Layout(("", "AUC", "over users", "RI"), blocks, ("data toy",))
    table = TextTable("T", *layout[:3], [], layouts=(layout,))
    text = "\n".join(plain(table, 80))
    assert "over users" not in text
    assert "RI" not in text
    assert "naturally new" not in text
    assert cells(plain(table, 80))[-2:] == [["A", ".5"], ["B", "-"]]
    # Without any number, it is shown as it is, and so is a table that compares what has no numbers.
    nothing = Layout(("", "AUC"), (text_block("new users", [["A", "-"]]),), ())
    for layouts in ((nothing,), ()):
        assert cells(plain(TextTable("T", *nothing[:3], [], layouts=layouts), 80))[-1] == ["A", "-"]
    assert "over users" in "\n".join(plain(TextTable("T", *layout[:3], []), 80))


def test_the_widest_layout_that_fits_is_taken() -> None:
    def layout(column: str) -> Layout:
        return Layout(("", column), (text_block("b", [["row", "1"]]),), (column,))

    # "row", three characters between, and the column: 86 and 46.
    table = TextTable("T", ("", "x"), (), (), [], layouts=(layout("w" * 80), layout("n" * 40)))
    assert [plain(table, width)[-1][0] for width in (200, 86, 85, 46)] == ["w", "w", "n", "n"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_of_names_and_prose_nothing_is_left_out(width: int) -> None:
    """The folder of a run leaves no room for what is wrong with it, and neither may be cut."""
    folder, fault = f"runs/{'k' * 40}/strict/base+mail-base/seed-0", f"/data/{'x' * 30}/dataset.json: is damaged."
    table = TextTable("T", ("", "state"), (text_block("runs", [[folder, f"BROKEN: {fault}"]]),), ("n",), [], wraps=True)
    shown = plain(table, width)
    assert max(map(cell_len, shown)) <= width
    text = re.sub(r"[ │┃\n]", "", "\n".join(shown))
    assert folder in text
    assert f"BROKEN:{fault}".replace(" ", "") in text


def test_prose_without_room_stands_below_its_names() -> None:
    table = TextTable(
        "T",
        ("", "state"),
        (text_block("runs", [["n" * 30, "eight words of prose, more than one line holds"]]),),
        (),
        [],
    )
    assert plain(replace(table, wraps=True), 40) == [
        "T",
        "runs",
        "n" * 30,
        "    eight words of prose, more than one",
        "    line holds",
    ]
    # 30 + 3 columns, and a third of 49 is 16.
    assert [len(cells(plain(replace(table, wraps=True), width))) > 0 for width in (48, 49)] == [False, True]


@pytest.mark.parametrize("width", [80, 120])
def test_prose_in_the_last_column_wraps(width: int) -> None:
    lines = [["settings.learning_rate", "-", "a word " * 40], ["-", "-", "-"]]
    table = TextTable("T", ("", "value", "meaning"), (text_block("", lines),), (), [], wraps=True)
    shown = plain(table, width)
    assert max(map(cell_len, shown)) <= width
    assert " ".join(" ".join(line[2] for line in cells(shown)).split()) == "meaning " + "a word " * 40 + "-"
    # Nothing is a number, so nothing is left out.
    assert cells(shown)[0] == ["", "value", "meaning"]
