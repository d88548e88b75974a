"""`--columns`: which metrics a table shows, and that JSON has all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailcli.cli import main
from mailcli.config import make_config
from mailcli.errors import MailError
from mailcli.reporting.columns import COLUMNS, read_columns
from mailcli.reporting.formats import render
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import make_table
from tests.helpers.command_line import error_line, mail
from tests.helpers.results import BASE, MAIL, result, with_draws

ALL = "auc,gauc,logloss,ne,ece,parameters,seconds,scoring_us"


def scored(log_loss: float, microseconds: float | None = None) -> dict[str, Any]:
    """A result with these metrics for every group, and a cost."""
    content = result(0.5, 0.7)
    for group in content["test"].values():
        group |= {"log loss": log_loss, "NE": 1.0625, "ECE": 0.0125}
    cost = {"parameters": 12345, "training_seconds": 61.25, "scoring_microseconds": microseconds}
    return {**content, "cost": cost} if microseconds is not None else content


def table_of(rows: list[Row], columns: str | None) -> list[list[str]]:
    """The cells of the head and of the block of new users."""
    text = render([lay_out(make_table(rows, "Title", columns=read_columns(columns)))], "table")
    lines = [line for line in text.splitlines() if "┃" in line or "│" in line]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]


def test_columns_by_hand() -> None:
    """The lower log loss is the better one; what a row costs is a mean without an interval."""
    rows = [
        Row(BASE, (0, 1), (scored(0.5, 2.0), scored(0.5, 3.0)), None),
        Row(MAIL, (0, 1), (scored(0.4, 4.5), scored(0.4, 4.5)), None),
        Row(make_config([{"data": "toy", "ranker": "din"}]), (0, 1), (result(0.5, 0.7),) * 2, None),
    ]
    head, _, base, mail_base, old = table_of(rows, ALL)[:5]
    assert head == [
        *("", "AUC", "GAUC", "log loss", "NE", "ECE"),
        *("parameters", "training s", "scoring us"),
    ]
    assert base[3:] == [".5000 ±.0000", "1.0625 ±.0000", ".0125 ±.0000", "12,345", "61.2", "2.5"]
    assert mail_base[3] == ".4000 ±.0000"
    # A run of an older version.
    assert old[3:] == ["-", "-", "-", "-", "-", "-"]
    assert table_of(rows, "scoring_us,ece")[0] == ["", "scoring us", "ECE"]
    # Without a baseline, no row has an RI.
    assert table_of(rows, None)[0] == ["", "AUC", "GAUC"]
    ranks = {line.name: line.cells["log loss"].rank for line in make_table(rows, "Title").blocks[0]}
    assert ranks == {"BaseDNN": 2, "MAIL-Base": 1, "din+none": 0}
    assert all(line.cells["parameters"].rank == 0 for line in make_table(rows, "Title").lines)


def test_json_has_every_metric_and_the_cost_once_a_row() -> None:
    table = lay_out(make_table([Row(BASE, (0,), (scored(0.5, 2.0),), None)], "Title"))
    records = json.loads(render(table, "json"))["results"]
    by_metric = {(record["users"], record["metric"]): record["mean"] for record in records}
    assert by_metric["new", "log loss"] == 0.5
    assert by_metric["old", "NE"] == 1.0625
    assert by_metric["new", "ECE"] == 0.0125
    assert {key: value for key, value in by_metric.items() if key[1] in {"parameters", "scoring_microseconds"}} == {
        ("all", "parameters"): 12345,
        ("all", "scoring_microseconds"): 2.0,
    }
    assert by_metric["all", "training_seconds"] == 61.25


def test_conversions_have_the_same_columns_and_draws_only_those_that_are_drawn() -> None:
    content = with_draws(scored(0.5), new=[0.25] * 40, old=[0.7] * 40, all=[0.5] * 40)
    for group in content["test"].values():
        group |= {"CTCVR AUC": 0.625, "CTCVR GAUC": 0.6, "CTCVR log loss": 0.125}
    cells = table_of([Row(BASE, (0,), (content,), None)], "auc,logloss")
    assert cells[0] == ["", "AUC", "over users", "log loss", "CTCVR AUC", "CTCVR log loss"]
    assert cells[2] == ["BaseDNN", ".5000", ".2500 to .2500", ".5000", ".6250", ".1250"]


def test_a_note_says_what_a_column_means() -> None:
    rows = [Row(BASE, (0,), (scored(0.5, 2.0),), None)]
    notes = make_table(rows, "Title", columns=read_columns("ne,scoring_us")).notes
    assert [note.partition(":")[0] for note in notes[-2:]] == ["NE", "scoring us"]
    assert not any(note.startswith("NE") for note in make_table(rows, "Title").notes)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("auc,loglos", "--columns auc,loglos: unknown column 'loglos'. Did you mean 'logloss'? Known: 'auc', 'gauc'"),
        ("", "--columns : unknown column ''."),
    ],
)
def test_a_mistyped_column_is_suggested(names: str, message: str) -> None:
    with pytest.raises(MailError) as error:
        read_columns(names)
    assert error.value.message.startswith(message)


@pytest.mark.parametrize(
    "command",
    sorted(name for name, one in main.commands.items() if any(option.name == "columns" for option in one.params)),
)
def test_every_command_with_a_table_of_runs_has_the_option(command: str) -> None:
    (option,) = (option for option in main.commands[command].params if option.name == "columns")
    assert f"Columns of the table: {', '.join(COLUMNS)};" in str(vars(option)["help"])
    arguments = ["experiments/demo.toml"] if command == "run" else []
    assert "unknown column 'acu'. Did you mean 'auc'?" in error_line(mail(command, *arguments, "--columns", "acu"))


def test_the_help_names_all_columns() -> None:
    help_text = " ".join(mail("evaluate", "--help").stdout.split())
    assert f"Columns of the table: {', '.join(COLUMNS)};" in help_text
