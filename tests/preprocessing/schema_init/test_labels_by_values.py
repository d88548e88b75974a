"""The label of a log whose name does not tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_init.propose import propose
from tests.helpers.schema_files import write_files

USERS = "user_id,city\nu1,Rome\nu2,Oslo\n"


def label_lines(folder: Path, header: str, *cells: str, **given: str) -> list[str]:
    """The lines of the label, from rows of two users and one item that end in these cells."""
    rows = [f"u{place % 2 + 1},i1,{1_600_000_000 + place},{cell}" for place, cell in enumerate(cells)]
    log = "\n".join([f"user_id,item_id,timestamp,{header}", *rows]) + "\n"
    raw = write_files(folder, {"users.csv": USERS, "log.csv": log})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml", given).splitlines()
    return [line for line in lines if line.startswith(("click = ", "where = ", "action = "))]


ASKED = "    # check this: is this the label?"


@pytest.mark.parametrize(
    ("header", "cells", "lines"),
    [
        ("done", "0 1 1 0", ['where = "done"', f'click = "done"{ASKED}']),
        ("done", "true false false true", ['where = "done"', f'click = "done"{ASKED}']),
        (
            "done",
            "no yes yes no",
            ['where = {column = "done", equals = "yes"}', f'click = {{column = "done", equals = "yes"}}{ASKED} what counts as a click?'],
        ),
        ("done", "-1 1 1 -1", [f'click = {{column = "done", equals = "1"}}{ASKED} what counts as a click?']),
        ("points", "0.5 4 5 3.5", [f'click = {{column = "points", at_least = 4}}{ASKED} what counts as a click?']),
        # The first holds only one value, the second is not always there, the third is no rating.
        ("a,b,c,d", "1,0,12,1 1,1,13,1 1,,14,0 1,1,15,0", [f'click = "d"{ASKED}']),
        ("done,seconds", "0,1 1,61 1,1 0,61", ['where = "done"']),
        ("purchased", "0 1 1 0", [f'click = "purchased"{ASKED}']),
        ("click,purchased", "1,0 1,1 0,0 1,0", ['click = "click"']),
    ],
)  # fmt: skip
def test_a_label_by_its_values(tmp_path: Path, header: str, cells: str, lines: list[str]) -> None:
    found = label_lines(tmp_path, header, *cells.split())
    assert [line for line in lines if line not in found] == []


@pytest.mark.parametrize(
    ("header", "cells", "may_be"),
    [
        ("liked,shared", "0,1 1,1 1,0 0,0", "'liked', 'shared'"),
        ("fun,taste", "1,2 3,4 5,4 3,3", "'fun', 'taste'"),
    ],
)
def test_several_labels_are_asked_for(tmp_path: Path, header: str, cells: str, may_be: str) -> None:
    with pytest.raises(MailError) as error:
        label_lines(tmp_path, header, *cells.split())
    first = header.partition(",")[0]
    assert error.value.message == (
        f"log.csv: the label may be {may_be}. Say which it is, for example with --click {first}."
    )


def test_a_log_without_a_label_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        label_lines(tmp_path, "seconds", "12", "640", "37", "205")
    assert error.value.message == (
        "none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a "
        "rating. log.csv has a user ('user_id'), an item ('item_id') and a time ('timestamp'), but nothing that is "
        "clearly a click or a rating. Name its columns with --click, or write the schema file by hand, starting from "
        "examples/schemas. Found: users.csv: user_id, city; log.csv: user_id, item_id, timestamp, seconds."
    )


def test_a_number_that_is_given_as_the_label_is_cut_at_its_median(tmp_path: Path) -> None:
    lines = label_lines(tmp_path, "seconds", *map(str, range(100, 121)), click="seconds")
    assert 'click = {column = "seconds", at_least = 110}    # check this: what counts as a click?' in lines
