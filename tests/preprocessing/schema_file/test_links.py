"""Links between the tables of a schema file: no common value is refused, few are noted, with an example of either side."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    edited,
    make_dataset,
    notes,
    raw_rows,
    raw_values,
    refusal,
    write_files,
)

#: Numeric ids of the users.
NUMBERS = {"ann": "13", "bob": "14", "cid": "15", "dan": "16"}
#: The impressions get their page from a joined file.
JOINED = edited(
    ("[impressions.context]", '[impressions.join]\nfiles = "pages.csv"\non = "page"\n[impressions.context]'),
    ('page = "page"', 'device = "device"'),
)


def numbered(text: str, end: str) -> str:
    return re.sub("^(ann|bob|cid|dan)", lambda match: NUMBERS[match[0]] + end, text, flags=re.MULTILINE)


def with_pages(numbers: dict[str, str], joined: str) -> dict[str, str]:
    """The raw files with other names of the pages p, q and r, and the file that is joined to them."""
    shown = re.sub("[pqr]$", lambda match: numbers[match[0]], FILES["shown.csv"], flags=re.MULTILINE)
    return {**FILES, "shown.csv": shown, "pages.csv": joined}


def test_a_missing_key_of_a_join_is_that_of_no_row(tmp_path: Path) -> None:
    pages = {"p": "p", "q": "", "r": "r"}
    files = with_pages(pages, "page,device\np,phone\n,ghost\nr,tablet\n")
    rows = raw_rows(tmp_path, JOINED, files)
    assert {row["device"] for row in rows} == {"phone", "tablet", None}


def test_ids_of_users_that_are_written_otherwise_are_refused(tmp_path: Path) -> None:
    files = {name: numbered(text, "" if name == "users.csv" else ".0") for name, text in FILES.items()}
    assert refusal(tmp_path, SCHEMA, files) == (
        "HERE/raw/shown.csv: no user of the impressions is in users.csv, for example '13.0'; values there look like '13'. "
        "They must be written the same way in both."
    )


def test_ids_of_items_that_are_written_otherwise_are_refused(tmp_path: Path) -> None:
    schema = edited(("price = {column", "#"))
    assert refusal(tmp_path, schema, {**FILES, "items.csv": "sku,kind,price\n1,hat,10\n2,shoe,20\n"}) == (
        "HERE/raw/shown.csv: no item of the impressions is in items.csv, for example 'x1'; values there look like '1'. "
        "They must be written the same way in both."
    )


def test_users_of_behaviors_that_are_written_otherwise_are_refused(tmp_path: Path) -> None:
    files = {name: numbered(text, ".0" if name.startswith("log") else "") for name, text in FILES.items()}
    assert re.sub(r"'1\d.0'", "'N.0'", refusal(tmp_path, SCHEMA, files)) == (
        "HERE/raw/log-1.csv: no user of the behaviors is in the impressions (shown.csv), for example 'N.0'; values there "
        "look like '13'. They must be written the same way in both."
    )


def test_missing_users_and_items_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(FILES["users.csv"].splitlines()[:4]) + "\n"
    assert notes(tmp_path, SCHEMA, {**FILES, "users.csv": text}, capsys) == [
        "Note: 1 of 4 distinct users of the impressions (25.00%) are not in users.csv, for example 'dan'; values "
        "there look like 'ann'.",
        "Note: 1 of 3 distinct items of the impressions (33.33%) are not in items.csv, for example 'x3'; values "
        "there look like 'x1'.",
    ]


def test_a_joined_key_that_is_written_otherwise_is_refused(tmp_path: Path) -> None:
    files = with_pages({"p": "p", "q": "q", "r": "r"}, "page,device\nP,phone\nQ,desk\n")
    assert refusal(tmp_path, JOINED, files) == (
        "HERE/raw/shown.csv: no page of the impressions is in pages.csv, for example 'p'; values there look like 'P'. "
        "They must be written the same way in both."
    )


def test_missing_joined_keys_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = with_pages({"p": "p", "q": "q", "r": "r"}, "page,device\np,phone\nr,desk\n")
    lines = [line for line in notes(tmp_path, JOINED, files, capsys) if "page" in line]
    assert lines == [
        "Note: 1 of 3 distinct values of page of the impressions (33.33%) are not in pages.csv, for example 'q'; values "
        "there look like 'p'."
    ]


def test_a_joined_file_has_its_own_missing_values(tmp_path: Path) -> None:
    pages = "page,device\np,NA\nq,?\nr,car\n"
    schema = JOINED.replace('on = "page"', 'on = "page"\nmissing = ["NA"]')
    dataset = make_dataset(tmp_path, schema, with_pages({"p": "p", "q": "q", "r": "r"}, pages))
    assert dataset.column("vocabularies", "device").tolist() == ["?"]
    device = next(field for field in dataset.schema.group("context") if field.name == "device")
    assert dataset.derivation(device).missing == ("NA",)


@pytest.mark.parametrize(
    ("numbers", "joined"),
    [
        ({"p": "1", "q": "2", "r": "3"}, "page,device\n1.0,phone\n2.0,desk\n3.0,car\n"),
        ({"p": "1.0", "q": "2.0", "r": ""}, "page,device\n1,phone\n2,desk\n3,car\n"),
    ],
)
def test_a_joined_key_may_be_a_whole_number_that_is_written_as_a_float(
    tmp_path: Path, numbers: dict[str, str], joined: str
) -> None:
    rows = raw_rows(tmp_path, JOINED, with_pages(numbers, joined))
    car = "car" if numbers["r"] else None
    # Ordered by the text of the time: 100, 100, 200, 2000, 2100, 300, 3000, 3700, 400000; r is the page at 2000.
    by_time = {(row["time"], row["user"]): row["device"] for row in rows}
    assert by_time[200, "ann"] == by_time[300, "ann"] == by_time[2100, "ann"] == "phone"
    assert by_time[100, "bob"] == by_time[100, "cid"] == "desk"
    assert by_time[2000, "ann"] == car


def test_texts_of_joined_keys_that_only_look_like_equal_numbers_stay_different(tmp_path: Path) -> None:
    """As long as some keys are equal as texts, they are compared as such: 1.0 may be a version."""
    files = with_pages({"p": "1", "q": "1.0", "r": "2"}, "page,device\n1,phone\n1.0,desk\n")
    devices = {(row["time"], row["user"]): row["device"] for row in raw_rows(tmp_path, JOINED, files)}
    assert devices[200, "ann"] == "phone"
    assert devices[100, "bob"] == "desk"
    assert devices[2000, "ann"] is None


def test_a_joined_key_of_floats_in_parquet_matches_whole_numbers(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {})
    pd.DataFrame({"page": [1.0, 2.0, None], "device": ["phone", "desk", "car"]}).to_parquet(raw / "pages.parquet")
    files = with_pages({"p": "1", "q": "2", "r": "2"}, "")
    dataset = make_dataset(tmp_path, JOINED.replace("pages.csv", "pages.parquet"), files)
    # Of the training impressions, in the order of users: p and q of ann, bob and cid.
    assert sorted(raw_values(dataset, "train", "device")) == ["desk", "desk", "phone", "phone"]
