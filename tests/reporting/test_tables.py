"""The numbers of result tables, as a terminal shows them, and the notes below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from mailcli.config import make_config
from mailcli.reporting.formats import render
from mailcli.reporting.paper import REPORTED
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import make_table
from tests.helpers.results import BASE, MAIL, result, with_draws


def notes_of(rows: Sequence[Row]) -> list[str]:
    return list(make_table(rows, "Title").notes)


def text_of(rows: Sequence[Row], with_paper: bool = False) -> str:
    """The table on a terminal, without its title and notes."""
    table = make_table(rows, "Title", REPORTED if with_paper else None)
    lines = render([lay_out(table)], "table").splitlines()
    return "\n".join(lines[1 : -len(notes_of(rows))])


def cells_of(text: str) -> list[list[str]]:
    """The cells of each line of a table."""
    return [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]


def head_of(text: str) -> list[str]:
    """The names of a table's columns."""
    return [name.strip() for name in text.splitlines()[0].split("┃")]


def test_conversions_have_columns_where_a_ranker_scores_them() -> None:
    scored = result(0.5, 0.7)
    for group in scored["test"].values():
        group |= {"CTCVR AUC": 0.625, "CTCVR GAUC": 0.6}
    rows = [
        Row(BASE, (0,), (result(0.5, 0.7),), None),
        Row(make_config([{"data": "toy", "ranker": "esmm"}]), (0,), (scored,), None),
    ]
    text = text_of(rows)
    assert head_of(text)[-2:] == ["CTCVR AUC", "CTCVR GAUC"]
    cells = cells_of(text)
    assert cells[3][-2:] == ["-", "-"]
    # No row has a baseline, so there are no columns of RI.
    assert cells[4] == ["esmm+none", ".5000", ".4000", ".6250", ".6000"]
    assert "CTCVR: click and then conversion, ranked by pCTCVR = pCTR x pCVR" in notes_of(rows)
    assert "CTCVR" not in text_of(rows[:1])


def test_table_by_hand() -> None:
    baseline = (result(0.5, 0.7), result(0.5, 0.7), result(0.5, 0.7))
    better = (result(0.55, 0.7), result(0.56, 0.71), result(0.57, 0.69))
    rows = [Row(BASE, (0, 1, 2), baseline, None), Row(MAIL, (0, 1, 2), better, baseline)]
    text = text_of(rows)
    assert head_of(text) == ["", "AUC", "GAUC", "RI AUC %", "RI GAUC %"]
    cells = cells_of(text)
    assert cells[2][0] == "new users"
    assert cells[3] == ["BaseDNN", ".5000 ±.0000", ".4000 ±.0000", "", ""]
    # s = .01: half = .0248; RI 10, 12, 14%: half 4.97.
    assert cells[4] == ["MAIL-Base", ".5600 ±.0248", ".4600 ±.0248", "+12.00 ±4.97, p .009", "+15.00 ±6.21, p .009"]
    # Old users: RI 0, 1.43, -1.43%: not significant, which does not make them unharmed.
    assert cells[8][3] == "+0.00 ±3.55, p 1.000 n.s."


def test_a_row_is_called_unharmed_only_if_its_interval_says_so() -> None:
    baseline = (result(0.5, 0.7), result(0.5, 0.7), result(0.5, 0.7))
    # Old users' RI: .1, 0, -.1%.
    method = (result(0.55, 0.7007), result(0.56, 0.7), result(0.57, 0.6993))
    rows = [Row(BASE, (0, 1, 2), baseline, None), Row(MAIL, (0, 1, 2), method, baseline)]
    assert cells_of(text_of(rows))[8][3] == "+0.00 ±0.25, p 1.000 n.s. ≈"
    assert (
        "≈: RI within ±0.5% (two one-sided t-tests, p < .05, not corrected); n.s. without ≈ does not mean no harm"
    ) in notes_of(rows)


def test_one_seed_has_no_interval_and_the_table_says_so() -> None:
    rows = [Row(MAIL, (4,), (result(0.55, 0.7),), (result(0.5, 0.7),))]
    assert "+10.00" in text_of(rows)
    assert "±" not in text_of(rows)
    notes = " ".join(notes_of(rows))
    assert "one seed: no interval" in notes
    assert "toy (simulated) | protocol paper, 40% of users new | seeds 4" in notes
    assert "25.0% of the test impressions" in notes


def test_intervals_over_users_are_of_the_mean_over_seeds() -> None:
    # Draws .50, .51 ... .90 of one seed and .70, .71 ... 1.10 of the other: means .60 ... 1.00, of which 2.5% on
    # either side are .61 and .99.
    grid = [0.5 + 0.01 * i for i in range(41)]
    seeds = [
        with_draws(result(0.7, 0.6), new=grid, old=[0.6] * 41, all=[math.nan] * 41),
        with_draws(result(0.9, 0.6), new=[0.2 + v for v in grid], old=[0.6] * 31 + [math.nan] * 10, all=[0.5] * 41),
    ]
    rows = [Row(MAIL, (0, 1), tuple(seeds), (result(0.5, 0.6), result(0.5, 0.6)))]
    text = text_of(rows)
    assert head_of(text) == ["", "AUC", "over users", "GAUC", "over users", "RI AUC %", "RI GAUC %"]
    cells = cells_of(text)
    assert cells[3][2] == ".6100 to .9900"
    assert cells[3][4] == ".5100 to .8900"
    assert cells[3][5] == "+60.00 ±254.12, p .205 n.s."
    # Draws that lack a class for one of the seeds are left out: 10 of 41. All of them: no interval.
    assert cells[6][2] == ".6000 to .6000"
    assert cells[9][2] == "-"
    assert notes_of(rows)[2:6] == [
        "±: 95% interval over seeds; n.s. = no significant difference at 5%",
        "over users: 95% interval of the mean to its left, from 41 bootstrap draws of the test users with all their "
        "impressions; the trained models stay fixed",
        "over users: not an interval of the difference between rows, which share users and draws",
        "over users: draws without both labels are excluded (at most 24.4%)",
    ]


def test_one_seed_with_users_drawn() -> None:
    scored = with_draws(result(0.5, 0.7), new=[0.25] * 40, old=[0.7] * 40, all=[0.5] * 40)
    rows = [Row(BASE, (0,), (scored,), None)]
    assert text_of(rows).count(".2500 to .2500") == 1
    notes = notes_of(rows)
    assert "one seed: no interval over seeds, so significance cannot be assessed" in notes
    assert not any("excluded (at most" in note for note in notes)
    without = [Row(BASE, (0,), (result(0.5, 0.7),), None)]
    assert "over users" not in text_of(without) + " ".join(notes_of(without))


def test_the_papers_numbers_stand_beside_and_a_missing_one_stays_empty() -> None:
    single = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "single"}])
    dual = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "dual"}])
    rows = [Row(config, (0,), (result(0.5, 0.6),), None) for config in (MAIL, single, dual)]
    cells = [line[-3:] for line in cells_of(text_of(rows, with_paper=True))[3:6]]
    assert cells == [[".5934", ".5710", "+1.22"], [".5844", "", ""], ["", "", ""]]


def test_the_papers_numbers_are_of_its_own_method_and_of_the_row_that_is_called_so() -> None:
    """With an option of its method a row is another one; with a ranker's, it is the same method."""

    def reported(options: dict[str, Any], label: str = "") -> float | None:
        config = make_config([{"data": "toy", "cold_start": "mail"}, options])
        table = make_table([Row(config, (0,), (result(0.5, 0.6),), None, name=label)], "Title", REPORTED)
        return table.lines[0].reported.get("AUC")

    rare = {"cold_start.update_every": 4}
    assert reported({}) == reported({"ranker.units": "8"}) == 0.5934
    assert reported(rare) is None
    assert reported(rare, "every fourth step") is None
    assert reported(rare, "MAIL-Single") == 0.5844


def test_the_note_is_about_the_paper_whose_numbers_they_are() -> None:
    row = Row(MAIL, (0,), (result(0.5, 0.6),), None)
    for numbers, note in (
        ({"MAIL-Base": REPORTED["MAIL-Base"]}, "paper: reported on about 6 M impressions of Alimama"),
        ({"MAIL-Base": {"new": {"AUC": 0.7}}}, "paper: as reported; not comparable with another dataset or split"),
    ):
        (shown,) = (note for note in make_table([row], "Title", numbers).notes if note.startswith("paper: "))
        assert shown.startswith(note)


def test_against_a_baseline_of_zero_there_is_no_improvement() -> None:
    """A GAUC of 0, which a handful of users can have: RI is undefined, and the table is still made."""
    table = make_table([Row(MAIL, (0,), (result(0.5, 0.7),), (result(0.1, 0.7),))], "Title")
    (new,) = (line for line in table.lines if line.users == "new")
    assert new.improvements["GAUC"] is None
    gain = new.improvements["AUC"]
    assert gain is not None
    assert gain.mean == pytest.approx(400)


class TestTrivialRows:
    """Marked by their names; other rows are marked where their mean is below that of the best trivial row."""

    RATE, BIAS = (make_config([{"data": "toy", "ranker": name}]) for name in ("item-rate", "item-bias"))

    def rows(self) -> list[Row]:
        return [
            Row(self.RATE, (0,), (result(0.55, 0.6),), None),
            Row(self.BIAS, (0,), (result(0.6, 0.65),), None),
            Row(BASE, (0,), (result(0.5, 0.7),), None),
            Row(MAIL, (0,), (result(0.6, 0.64),), (result(0.5, 0.7),)),
        ]

    def test_marks(self) -> None:
        lines = [line[:3] for line in cells_of(text_of(self.rows())) if len(line) > 2]
        assert lines[:10] == [
            ["new users", "", ""],
            ["trivial: item-rate", ".5500", ".4500"],
            ["trivial: item-bias", ".6000", ".5000"],
            ["BaseDNN", ".5000↓", ".4000↓"],
            ["MAIL-Base", ".6000", ".5000"],
            ["old users", "", ""],
            ["trivial: item-rate", ".6000", ".5000"],
            ["trivial: item-bias", ".6500", ".5500"],
            ["BaseDNN", ".7000", ".6000"],
            ["MAIL-Base", ".6400↓", ".5400↓"],
        ]
        note = (
            "trivial: statistics of the training split, fitted without a network; ↓ = worse than the best "
            "trivial row of the block"
        )
        assert note in notes_of(self.rows())

    def test_marks_of_records(self) -> None:
        records = lay_out(make_table(self.rows(), "Title")).records
        new = [record for record in records if record["users"] == "new" and record["metric"] == "AUC"]
        assert [(record["row"], record["trivial"], record["below_trivial"]) for record in new] == [
            ("item-rate", True, False),
            ("item-bias", True, False),
            ("BaseDNN", False, True),
            ("MAIL-Base", False, False),
        ]

    def test_a_table_without_them_has_neither_mark_nor_note(self) -> None:
        assert "↓" not in text_of(self.rows()[2:])
        assert not any("trivial" in note for note in notes_of(self.rows()[2:]))

    def test_other_forms_have_the_marks(self) -> None:
        table = lay_out(make_table(self.rows(), "Title"))
        assert "| BaseDNN | .5000↓ |" in render([table], "markdown")
        assert r"BaseDNN & .5000$\downarrow$ & " in render([table], "latex")


def test_rows_with_other_seeds_are_not_ranked_or_marked() -> None:
    """They are scored on the new users of other draws."""
    rate = make_config([{"data": "toy", "ranker": "item-rate"}])
    none = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "none"}])
    rows = [
        Row(rate, (0, 1), (result(0.55, 0.6),) * 2, None),
        Row(BASE, (0, 1), (result(0.5, 0.7),) * 2, None),
        Row(MAIL, (0, 1), (result(0.6, 0.7),) * 2, None),
        Row(none, (0,), (result(0.45, 0.9),), None),
    ]
    table = make_table(rows, "Title")
    cells = {line.name: line.cells["AUC"] for line in table.blocks[0]}
    assert {name: (cell.rank, cell.below_trivial) for name, cell in cells.items()} == {
        "item-rate": (2, False),
        "BaseDNN": (0, True),
        "MAIL-Base": (1, False),
        "MAIL-None": (0, False),
    }
    assert "best, second best and ↓: only among the rows with seeds 0, 1" in table.notes


def test_trivial_rows_are_not_compared_by_log_loss() -> None:
    def scored(log_loss: float) -> dict[str, Any]:
        content = result(0.5, 0.7)
        for group in content["test"].values():
            group["log loss"] = log_loss
        return content

    rate = make_config([{"data": "toy", "ranker": "item-rate"}])
    rows = [
        Row(rate, (0,), (scored(0.1),), None),
        Row(BASE, (0,), (scored(0.3),), None),
        Row(MAIL, (0,), (scored(0.2),), None),
    ]
    table = make_table(rows, "Title", columns=("AUC", "log loss"))
    cells = {line.name: line.cells["log loss"] for line in table.blocks[0]}
    assert {name: (cell.rank, cell.below_trivial) for name, cell in cells.items()} == {
        "item-rate": (0, False),
        "BaseDNN": (2, False),
        "MAIL-Base": (1, False),
    }
    assert "log loss: trivial rows are not compared, for most are not calibrated" in table.notes


def test_rows_against_rows_have_no_best() -> None:
    """A line is the first row of a pair; the second ones have no line."""
    rows = [
        Row(MAIL, (0,), (result(0.6, 0.7),), (result(0.5, 0.7),), against="BaseDNN"),
        Row(BASE, (0,), (result(0.5, 0.7),), (result(0.4, 0.7),), against="MAIL-None"),
    ]
    assert {line.cells["AUC"].rank for line in make_table(rows, "Title").lines} == {0}


def test_a_seed_without_an_auc_is_named() -> None:
    undefined = result(0.5, 0.7)
    undefined["test"]["new"] |= {"AUC": None, "GAUC": None}
    table = make_table([Row(BASE, (3, 4), (result(0.5, 0.7), undefined), None)], "Title")
    assert "new users: their impressions have one label in seed 4, so there is no AUC" in table.notes
    assert table.blocks[0][0].cells["AUC"].estimate is None
