"""Files as other programs write them: the proposed schema file works without any change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.proposals import FILES, NOONS, SHOWN, USERS, UTC_CHECK, clicks, log, propose_dataset
from tests.helpers.schema_files import (
    impressions_of,
    raw_values,
    values_by_user,
    write_files,
)


@dataclass(frozen=True)
class WrittenFiles:
    """Files that replace some of FILES, and lines of the proposal for them."""

    lines: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    users: dict[str, tuple[object, object]] = field(default_factory=lambda: {"city": ("Rome", "Oslo")})
    """Attributes of u1 and u2."""


def at(form: str) -> Callable[[int], str]:
    return lambda second: datetime.fromtimestamp(second, UTC).strftime(form)


FORMS = {
    "seconds": WrittenFiles(
        (f'time = "timestamp"{UTC_CHECK}', 'time = "timestamp"', 'where = "click"', 'click = "click"'),
    ),
    "local texts": WrittenFiles(
        (
            f'time = {{column = "timestamp", format = "%Y-%m-%d %H:%M:%S"}}{UTC_CHECK}',
            'time = {column = "timestamp", format = "%Y-%m-%d %H:%M:%S"}',
        ),
        {"log.csv": log(at("%Y-%m-%d %H:%M:%S"))},
    ),
    "texts that end in Z": WrittenFiles(
        (
            'time = {column = "timestamp", format = "%Y-%m-%dT%H:%M:%SZ"}    # check this: hours and days are in UTC',
        ),
        {"log.csv": log(at("%Y-%m-%dT%H:%M:%SZ"))},
    ),
    "texts with an offset": WrittenFiles(
        (f'time = {{column = "timestamp", format = "%Y-%m-%d %H:%M:%S%z"}}{UTC_CHECK}',),
        {"log.csv": log(at("%Y-%m-%d %H:%M:%S+00:00"))},
    ),
    "labels with a point": WrittenFiles(('where = "click"', 'click = "click"'), {"log.csv": log(label=("0.0", "1.0"))}),
    "row numbers, and a separator at the end": WrittenFiles(
        ("# A column without a name is left out.",),
        {
            "users.csv": USERS.replace("\n", ",\n"),
            "log.csv": "".join(
                f"{place - 1 if place else ''},{line}\n" for place, line in enumerate(log().splitlines())
            ),
        },
    ),
    "users' columns": WrittenFiles(
        (
            "birth = {column = \"birth\", extract = '(\\d{4})'}    # check this: a date; only its year is used",
            'income = "income"    # check this: strings; numbers with decimal = "," in this table',
            'likes = {column = "likes", separator = ",", most = 6}    # check this: a list? room for twice as many values as '
            "in the first rows",
        ),
        {"users.csv": "user_id;city;birth;income;likes\nu1;Rome;03/04/1990;1,50;1,2,3\nu2;Oslo;25/12/1985;12,00;1\n"},
        users={
            "city": ("Rome", "Oslo"), "birth": ("1990", "1985"), "income": ("1,50", "12,00"),
            "likes": (["1", "2", "3"], ["1"]),
        },
    ),
    "UTF-16": WrittenFiles(
        ('encoding = "utf-16"    # check this: the file is not UTF-8',),
        {"users.csv": USERS.replace("Oslo", "Malmö")},
        "utf-16",
        {"city": ("Rome", "Malmö")},
    ),
    "quotes without a meaning, behind tabs": WrittenFiles(
        ('separator = "\\t"', 'quote = ""'),
        {"users.csv": 'user_id\tcity\tnote\nu1\tRome\t"a" or b\nu2\tOslo\t5" disk\n'},
        users={"city": ("Rome", "Oslo"), "note": ('"a" or b', '5" disk')},
    ),
    "line breaks in quotes": WrittenFiles(
        (),
        {"users.csv": 'user_id,city,note\nu1,"Ro\nme",a\nu2,Oslo,b\n'},
        users={"city": ("Ro\nme", "Oslo")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_what_is_proposed_is_used_as_it_is(tmp_path: Path, form: WrittenFiles) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, text in {**FILES, **form.files}.items():
        (raw / name).write_text(text, encoding=form.encoding, newline="")
    text, dataset = propose_dataset(tmp_path, sorted(raw.iterdir()))
    lines = text.splitlines()
    assert [line for line in form.lines if line not in lines] == []
    assert impressions_of(dataset) == SHOWN
    assert clicks(dataset) == [2, 2, 2]
    for name, (first, second) in form.users.items():
        assert values_by_user(dataset, name) == {"u1": first, "u2": second}


def test_what_is_proposed_of_parquet_is_used_as_it_is(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    rows = [
        (user, item, noon + second, item == "i1")
        for noon in NOONS
        for user in ("u1", "u2")
        for item, second in (("i1", 0), ("i2", 1))
    ]
    for place, noon in enumerate(NOONS):
        part = [row for row in rows if row[2] // 86400 == noon // 86400]
        folder = raw / f"day={place}"
        folder.mkdir(parents=True)
        moments = pa.array([row[2] * 10**9 + 5 for row in part], pa.timestamp("ns"))
        table = {
            "user_id": [row[0] for row in part],
            "item_id": [row[1] for row in part],
            "timestamp": moments,
            "click": [row[3] for row in part],
            "seen": [{"x": 1}] * len(part),
            "near": [["x"]] * len(part),
        }
        pq.write_table(pa.table(table), folder / "part-0.parquet")
    users: dict[str, Any] = {
        "user_id": ["u1", "u2"],
        "city": ["Rome", "Oslo"],
        "born": [date(1970, 1, 3), date(1985, 12, 25)],
        "likes": [["x", "y"], []],
        "vip": [True, False],
        "home": [{"street": "a"}, {"street": "b"}],
        "groups": [[["x"]], [["y"]]],
        "key": [b"1", b"2"],
        "shares": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "score": [float("nan"), None],
    }
    pq.write_table(pa.table(users), raw / "users.parquet")
    text, dataset = propose_dataset(tmp_path, sorted(raw.rglob("*.parquet")))
    lines = text.splitlines()
    attributes = lines[lines.index("[users.attributes]") + 1 : lines.index("[behaviors]") - 3]
    assert attributes == [
        'city = "city"',
        'born = "born"    # check this: a time, in seconds since 1970',
        'likes = {column = "likes", list = true, most = 4}    # check this: room for twice as many values as in the first rows',
        'vip = "vip"',
        '# home = "home"    # check this: Parquet structs cannot be a field',
        '# groups = "groups"    # check this: Parquet nested lists cannot be a field',
        '# key = "key"    # check this: Parquet bytes cannot be a field',
        '# shares = "shares"    # check this: Parquet maps cannot be a field',
        '# score = "score"    # check this: no values in the first rows',
    ]  # fmt: skip
    assert 'files = "day=*/part-0.parquet"' in lines
    assert f'time = "timestamp"{UTC_CHECK}' in lines
    assert '# seen = "seen"    # check this: Parquet structs cannot be context' in lines
    assert '# near = "near"    # check this: Parquet lists cannot be context' in lines
    assert impressions_of(dataset) == SHOWN
    assert clicks(dataset) == [2, 2, 2]
    assert values_by_user(dataset, "likes") == {"u1": ["x", "y"], "u2": [None]}
    assert values_by_user(dataset, "vip") == {"u1": "1", "u2": "0"}
    # 2 and 5,837 days after 1970-01-01.
    assert values_by_user(dataset, "born") == {"u1": "172800", "u2": "504316800"}


def test_recboles_files_are_used_as_they_are(tmp_path: Path) -> None:
    header = "user_id:token,item_id:token,timestamp:float,label:float"
    files = {
        "x.user": USERS.replace("user_id,city", "user_id:token,city:token").replace(",", "\t"),
        "x.item": "item_id:token\tclass:token_seq\ni1\tAction Drama\ni2\tDrama\n",
        "x.inter": log().replace("user_id,item_id,timestamp,click", header).replace(",", "\t"),
    }
    raw = write_files(tmp_path / "raw", files)
    text, dataset = propose_dataset(tmp_path, sorted(raw.iterdir()))
    assert 'class = {column = "class:token_seq", separator = " ", most = 4}' in text
    assert impressions_of(dataset) == SHOWN
    assert raw_values(dataset, "items", "class") == [["Action", "Drama"], ["Drama"]]


TRUTHS = pytest.mark.parametrize("label", [("False", "True"), ("false", "true")])


@TRUTHS
def test_labels_that_are_true_and_false_are_used_as_proposed(tmp_path: Path, label: tuple[str, str]) -> None:
    raw = write_files(tmp_path / "raw", {**FILES, "log.csv": log(label=label)})
    _, dataset = propose_dataset(tmp_path, sorted(raw.iterdir()))
    assert clicks(dataset) == [2, 2, 2]
    assert dataset.counts["behaviors"] == 6


def test_a_behavior_has_the_fields_that_items_have_as_they_are(tmp_path: Path) -> None:
    items = "item_id,kind,price,tags\n" + "".join(f"{item},hat,{item * 3},a|b\n" for item in range(40))
    history = "user_id,timestamp,item_id,kind,price,tags\nu1,1699000000,1,hat,3,a|b\nu1,1699000001,2,hat,6,a|b\n"
    shown_ = log().replace(",i1,", ",1,").replace(",i2,", ",2,")
    raw = write_files(tmp_path / "raw", {**FILES, "log.csv": shown_, "items.csv": items, "history.csv": history})
    text, dataset = propose_dataset(tmp_path, sorted(raw.iterdir()))
    lines = text.splitlines()
    note = "    # check this: use it only if items have the same field"
    fields = lines[lines.index("[behaviors.fields]") + 1 : lines.index("[impressions]") - 1]
    assert fields == ['item = "item_id"', 'kind = "kind"', f'# price = "price"{note}', f'# tags = "tags"{note}']
    assert raw_values(dataset, "behaviors", "kind") == ["hat", "hat"]


def test_a_column_may_be_called_as_the_year_of_a_title_is(tmp_path: Path) -> None:
    items = "item_id,title,year\ni1,A (1990),1991\ni2,B (1992),1993\n"
    raw = write_files(tmp_path / "raw", {**FILES, "items.csv": items})
    _, dataset = propose_dataset(tmp_path, sorted(raw.iterdir()))
    assert raw_values(dataset, "items", "year") == ["1990", "1992"]
    assert raw_values(dataset, "items", "year_") == ["1991", "1993"]
