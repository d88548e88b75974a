"""The forms of `--format`."""

from __future__ import annotations

import csv
import io
import json
import re
import sys

import pytest

from mailcli.reporting.formats import render
from mailcli.reporting.paper import REPORTED
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.tables import make_table
from mailcli.reporting.text_table import TextTable, text_block
from tests.helpers.results import three_rows


def rendered(form: str, with_paper: bool = False) -> str:
    return render([lay_out(make_table(three_rows(), "Title", REPORTED if with_paper else None))], form)


def test_markdown_marks_the_best_and_shows_deviations() -> None:
    lines = rendered("markdown", with_paper=True).splitlines()
    assert lines[0] == "**Title**"
    assert lines[2] == "|  | AUC | GAUC | RI AUC % | RI GAUC % | paper AUC | paper GAUC | paper RI AUC % |"
    assert lines[4] == "| *new users* |  |  |  |  |  |  |  |"
    assert lines[6].startswith(
        "| MAIL-Base | **.5600 ±.0248 (.0100)** | **.4600 ±.0248 (.0100)** | +12.00 ±4.97, p .018 |"
    )
    assert lines[5].startswith("| BaseDNN | <u>.5000 ±.0000 (.0000)</u> |")
    assert "- data toy (simulated) / protocol paper, 40% of users new / seeds 0, 1, 2" in lines


def test_latex_is_escaped_and_marked() -> None:
    text = rendered("latex")
    assert r"\textbf{.5600 $\pm$.0248 (.0100)}" in text
    assert r"& RI AUC \% &" in text
    assert text.count(r"\midrule") == 3
    assert "40\\% of users new" in text
    assert "; in round brackets: standard deviation over seeds; best bold, second best underlined.}" in text


def test_csv_and_json_hold_the_whole_numbers() -> None:
    records = list(csv.DictReader(io.StringIO(rendered("csv"))))
    assert len(records) == 3 * 3 * 2
    (record,) = (r for r in records if (r["row"], r["users"], r["metric"]) == ("MAIL-Base", "new", "AUC"))
    assert float(record["mean"]) == pytest.approx(0.56)
    assert float(record["deviation"]) == pytest.approx(0.01)
    assert float(record["RI"]) == pytest.approx(12)
    assert float(record["p_holm"]) == pytest.approx(2 * float(record["p"]))
    assert record["place"] == "1"
    assert "toy (simulated)" in record["caption"]
    (table,) = json.loads(rendered("json"))
    assert table["title"] == "Title"
    assert table["results"][0]["row"] == "BaseDNN"
    assert table["results"][0]["RI"] is None


def test_the_terminal_marks_are_not_in_a_pipe() -> None:
    assert "\x1b" not in rendered("table")


def test_a_single_table_is_an_object_in_json_and_several_are_a_list() -> None:
    block = text_block("new users", [["CTR", "5%"]])
    table = TextTable("A/B", ("", "A"), (block,), ("data toy | seed 0",), [{"A": 0.05}])
    expected = {"title": "A/B", "notes": ["data toy | seed 0"], "results": [{"A": 0.05}]}
    assert json.loads(render(table, "json")) == expected
    assert json.loads(render([table, table], "json")) == [expected, expected]
    assert render([table, table], "csv") == "table,A,caption\n" + 2 * "A/B,0.05,data toy | seed 0\n"
    markdown = "**A/B**\n\n|  | A |\n| --- | ---: |\n| *new users* |  |\n| CTR | 5% |\n\n- data toy | seed 0\n"
    assert render(table, "markdown") == markdown
    assert render([table, table], "markdown") == f"{markdown}\n{markdown}"
    assert r"\caption{A/B. data toy \textbar{} seed 0.}" in render(table, "latex")
    assert r"CTR & 5\% \\" in render(table, "latex")


def test_no_column_of_a_csv_is_a_formula() -> None:
    tables = [TextTable("A", ("",), (), ("data",), [{"=1+1": 2}]), TextTable("B", ("",), (), ("data",), [{"b": None}])]
    assert render(tables, "csv") == "table,'=1+1,b,caption\nA,2,,data\nB,,,data\n"


def test_a_block_without_a_title_has_no_line_of_its_own() -> None:
    table = TextTable("Runs", ("", "A"), (text_block("", [["CTR", "5%"]]),), ("data toy",), [])
    assert render(table, "markdown") == "**Runs**\n\n|  | A |\n| --- | ---: |\n| CTR | 5% |\n\n- data toy\n"
    assert "multicolumn" not in render(table, "latex")
    assert [line.strip() for line in render(table, "table").splitlines()][3:] == ["CTR │ 5%", "data toy"]


def test_prose_wraps_and_numbers_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    prose = "one two three four five six seven eight"
    table = TextTable("T", ("", "meaning"), (text_block("b", [["name", prose]]),), (), [], wraps=True)
    lines = render(table, "table").splitlines()
    assert max(map(len, lines)) <= 30
    assert " ".join(line.partition("│")[2].strip() for line in lines[4:]) == prose
    numbers = TextTable("T", ("", "meaning"), (text_block("b", [["name", prose]]),), (), [])
    assert any(prose in line for line in render(numbers, "table").splitlines())


def test_a_table_is_as_wide_as_the_terminal_at_most_and_elsewhere_as_wide_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert "RI AUC %" in rendered("table")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    text = re.sub(r"\x1b\[[\d;]*m", "", rendered("table"))
    assert "RI AUC %" not in text
    assert max(map(len, text.splitlines())) <= 70
    assert capsys.readouterr().out == ""
