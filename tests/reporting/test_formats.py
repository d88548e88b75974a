from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.reporting.formats import render
from mailcli.reporting.paper import REPORTED, row_name
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import make_table


def result(new: float, old: float) -> dict[str, Any]:
    def of(value: float) -> dict[str, Any]:
        return {"AUC": value, "GAUC": value - 0.1, "one_class_impressions": 0.25}

    return {
        "dataset": "toy (simulated)",
        "protocol": "paper",
        "test": {"new": of(new), "old": of(old), "all": of((new + old) / 2)},
    }


BASE = make_config([{"data": "toy"}])
MAIL = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "base"}])


def rendered(rows: Sequence[Row], form: str = "table", with_paper: bool = False) -> str:
    return render([lay_out(make_table(rows, "Title", REPORTED if with_paper else None))], form)


def text_of(rows: Sequence[Row], with_paper: bool = False) -> str:
    """The table on a terminal, without its title and notes."""
    lines = rendered(rows, "table", with_paper).splitlines()
    return "\n".join(lines[1 : -len(notes(rows))])


def notes(rows: Sequence[Row]) -> list[str]:
    return list(make_table(rows, "Title").notes)


def test_conversions_have_columns_where_a_ranker_scores_them() -> None:
    scored = result(0.5, 0.7)
    for group in scored["test"].values():
        group |= {"CTCVR AUC": 0.625, "CTCVR GAUC": 0.6}
    both = [
        Row(BASE, (0,), (result(0.5, 0.7),), None),
        Row(make_config([{"data": "toy", "ranker": "esmm"}]), (0,), (scored,), None),
    ]
    lines = text_of(both).splitlines()
    assert [name.strip() for name in lines[0].split("┃")][-2:] == ["CTCVR AUC", "CTCVR GAUC"]
    cells = [[c.strip() for c in line.split("│")] for line in lines]
    assert cells[3][-2:] == ["-", "-"]
    assert cells[4] == ["esmm+none", ".5000", ".4000", "", "", ".6250", ".6000"]
    assert "CTCVR: click and then conversion, ranked by pCTCVR = pCTR x pCVR" in notes(both)
    assert "CTCVR" not in text_of(both[:1])


def test_table_by_hand() -> None:
    baseline = (result(0.5, 0.7), result(0.5, 0.7), result(0.5, 0.7))
    better = (result(0.55, 0.7), result(0.56, 0.71), result(0.57, 0.69))
    rows = [Row(BASE, (0, 1, 2), baseline, None), Row(MAIL, (0, 1, 2), better, baseline)]
    lines = text_of(rows).splitlines()
    assert lines[0].split() == ["┃", "AUC", "┃", "GAUC", "┃", "RI", "AUC", "%", "┃", "RI", "GAUC", "%"]
    cells = [[c.strip() for c in line.split("│")] for line in lines]
    assert cells[2][0] == "new users"
    assert cells[3] == ["BaseDNN", ".5000 ±.0000", ".4000 ±.0000", "", ""]
    # s = .01: half = .0248; RI 10, 12, 14 %: half 4.97.
    assert cells[4] == ["MAIL-Base", ".5600 ±.0248", ".4600 ±.0248", "+12.00 ±4.97, p .009", "+15.00 ±6.21, p .009"]
    # Old users: RI 0, 1.43, -1.43 %.
    assert cells[8][3] == "+0.00 ±3.55, p 1.000 n.s."


def test_one_seed_has_no_interval_and_the_table_says_so() -> None:
    rows = [Row(MAIL, (4,), (result(0.55, 0.7),), (result(0.5, 0.7),))]
    assert "+10.00" in text_of(rows)
    assert "±" not in text_of(rows)
    said = " ".join(notes(rows))
    assert "one seed: no interval" in said
    assert "toy (simulated) | protocol paper, 40% of users new | seeds 4" in said
    assert "25.0% of the test impressions" in said


def drawn(scored: dict[str, Any], **groups: list[float]) -> dict[str, Any]:
    """With draws of the users: these AUCs, and GAUCs that are .1 lower."""
    of = {name: {"AUC": np.array(auc), "GAUC": np.array(auc) - 0.1} for name, auc in groups.items()}
    return {**scored, "over_users": of}


def test_intervals_over_users_are_of_the_mean_over_seeds() -> None:
    # Draws .50, .51 ... .90 of one seed and .70, .71 ... 1.10 of the other: means .60 ... 1.00, of which 2.5 % on
    # either side are .61 and .99.
    grid = [0.5 + 0.01 * i for i in range(41)]
    seeds = [
        drawn(result(0.7, 0.6), new=grid, old=[0.6] * 41, all=[math.nan] * 41),
        drawn(result(0.9, 0.6), new=[0.2 + v for v in grid], old=[0.6] * 31 + [math.nan] * 10, all=[0.5] * 41),
    ]
    rows = [Row(MAIL, (0, 1), tuple(seeds), (result(0.5, 0.6), result(0.5, 0.6)))]
    lines = text_of(rows).splitlines()
    head = ["", "AUC", "over users", "GAUC", "over users", "RI AUC %", "RI GAUC %"]
    assert [name.strip() for name in lines[0].split("┃")] == head
    cells = [[c.strip() for c in line.split("│")] for line in lines]
    assert cells[3][2] == ".6100 to .9900"
    assert cells[3][4] == ".5100 to .8900"
    assert cells[3][5] == "+60.00 ±254.12, p .205 n.s."
    # Draws that lack a class for one of the seeds are left out: 10 of 41. All of them: no interval.
    assert cells[6][2] == ".6000 to .6000"
    assert cells[9][2] == "-"
    assert notes(rows)[2:6] == [
        "±: 95 % interval over seeds; n.s. = no significant difference at 5 %",
        "over users: 95 % interval of the mean to its left, from 41 bootstrap draws of the test users with all their "
        "impressions; the trained models stay fixed",
        "over users: not an interval of the difference between rows, which share users and draws",
        "over users: draws that lack a label are excluded (at most 24.4%)",
    ]


def test_one_seed_with_users_drawn() -> None:
    rows = [Row(BASE, (0,), (drawn(result(0.5, 0.7), new=[0.25] * 40, old=[0.7] * 40, all=[0.5] * 40),), None)]
    assert text_of(rows).count(".2500 to .2500") == 1
    said = notes(rows)
    assert "one seed: no interval over seeds, so significance cannot be assessed" in said
    assert not any("excluded (at most" in line for line in said)
    without = [Row(BASE, (0,), (result(0.5, 0.7),), None)]
    assert "over users" not in text_of(without) + " ".join(notes(without))


def test_the_papers_numbers_stand_beside_and_a_missing_one_stays_empty() -> None:
    single = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "single"}])
    dual = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "dual"}])
    rows = [Row(c, (0,), (result(0.5, 0.6),), None) for c in (MAIL, single, dual)]
    lines = text_of(rows, with_paper=True).splitlines()
    cells = [[c.strip() for c in line.split("│")][-3:] for line in lines[3:6]]
    assert cells == [[".5934", ".5710", "+1.22"], [".5844", "", ""], ["", "", ""]]


def test_reported_numbers_are_those_of_the_paper() -> None:
    assert REPORTED["BaseDNN"]["new"] == {"AUC": 0.5862, "GAUC": 0.5658}
    assert "MAIL-Dual" not in REPORTED


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "BaseDNN"),
        ({"cold_start": "mail", "cold_start.variant": "none"}, "MAIL-None"),
        ({"cold_start": "mail"}, "MAIL-Base"),
        ({"ranker": "other"}, "other+none"),
    ],
)
def test_row_names(settings: dict[str, str], name: str) -> None:
    assert row_name(make_config([{"data": "toy", **settings}])) == name


def three_rows() -> list[Row]:
    """Three seeds of BaseDNN, MAIL-Base (new users 12 % better) and MAIL-None (a little worse)."""
    none = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "none"}])
    baseline = (result(0.5, 0.7), result(0.5, 0.7), result(0.5, 0.7))
    better = (result(0.55, 0.7), result(0.56, 0.71), result(0.57, 0.69))
    worse = (result(0.49, 0.6), result(0.49, 0.61), result(0.48, 0.6))
    seeds = (0, 1, 2)
    return [
        Row(BASE, seeds, baseline, None),
        Row(MAIL, seeds, better, baseline),
        Row(none, seeds, worse, baseline),
    ]


def test_markdown_marks_the_best_and_shows_deviations() -> None:
    lines = rendered(three_rows(), "markdown", with_paper=True).splitlines()
    assert lines[0] == "**Title**"
    assert lines[2] == "|  | AUC | GAUC | RI AUC % | RI GAUC % | paper AUC | GAUC | RI % |"
    assert lines[4] == "| *new users* |  |  |  |  |  |  |  |"
    assert lines[6].startswith(
        "| MAIL-Base | **.5600 ±.0248 (.0100)** | **.4600 ±.0248 (.0100)** | +12.00 ±4.97, p .018 |"
    )
    assert lines[5].startswith("| BaseDNN | <u>.5000 ±.0000 (.0000)</u> |")
    assert "- data toy (simulated) / protocol paper, 40% of users new / seeds 0, 1, 2" in lines


def test_latex_is_escaped_and_marked() -> None:
    text = rendered(three_rows(), "latex")
    assert r"\textbf{.5600 $\pm$.0248 (.0100)}" in text
    assert r"& RI AUC \% &" in text
    assert text.count(r"\midrule") == 3
    assert "40\\% of users new" in text


def test_csv_and_json_hold_the_whole_numbers() -> None:
    found = list(csv.DictReader(io.StringIO(rendered(three_rows(), "csv"))))
    assert len(found) == 3 * 3 * 2
    row = next(r for r in found if (r["row"], r["users"], r["metric"]) == ("MAIL-Base", "new", "AUC"))
    assert float(row["mean"]) == pytest.approx(0.56)
    assert float(row["deviation"]) == pytest.approx(0.01)
    assert float(row["RI"]) == pytest.approx(12)
    assert float(row["p_holm"]) == pytest.approx(2 * float(row["p"]))
    assert row["place"] == "1"
    assert "toy (simulated)" in row["caption"]
    (table,) = json.loads(rendered(three_rows(), "json"))
    assert table["title"] == "Title"
    assert table["results"][0]["row"] == "BaseDNN"
    assert table["results"][0]["RI"] is None


def test_the_terminal_marks_are_not_in_a_pipe() -> None:
    assert "\x1b" not in rendered(three_rows())


def test_against_a_baseline_of_zero_there_is_no_improvement() -> None:
    """A GAUC of 0, which a handful of users can have: RI is undefined, and the table is still made."""
    table = make_table([Row(MAIL, (0,), (result(0.5, 0.7),), (result(0.1, 0.7),))], "Title")
    (new,) = (line for line in table.lines if line.users == "new")
    assert new.improvements["GAUC"] is None
    gained = new.improvements["AUC"]
    assert gained is not None
    assert gained.mean == pytest.approx(400)
