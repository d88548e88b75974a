"""Splits of a schema file: by time, day, share of a user, column and file."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.sources._base import TABLES
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    WIDE,
    edited,
    raw_rows,
    write_files,
)


@pytest.mark.parametrize(
    ("cuts", "offset", "expected"),
    [
        ("validation_from = 2000\ntest_from = 3000", "+00:00", "000011222"),
        ('validation_from = "1970-01-01T00:33:20"\ntest_from = 1970-01-01T00:50:00Z', "+00:00", "000011222"),
        # 1970-01-01 01:00 in Berlin is 0 in UTC; a time with its own offset is not shifted.
        ("validation_from = 1970-01-01T01:33:20\ntest_from = 1970-01-01T00:50:00Z", "+01:00", "000011222"),
        ("validation_from = 1970-01-01\ntest_from = 1970-01-02", "+00:00", "111111112"),
    ],
)
def test_cuts_may_be_dates(tmp_path: Path, cuts: str, offset: str, expected: str) -> None:
    schema = SCHEMA[: SCHEMA.index("validation_from")] + cuts
    schema = schema.replace('time = "at"\nclick', f'time = {{column = "at", utc_offset = "{offset}"}}\nclick')
    splits = {(row["time"], row["item"]): row["split"] for row in raw_rows(tmp_path, schema)}
    order = [(100, "x1"), (100, "x2"), (200, "x1"), (300, "x2"), (2000, "x1"), (2100, "x2"), (3000, "x1"), (3700, "x1")]
    assert splits == {key: int(code) for key, code in zip([*order, (400_000, "x3")], expected, strict=True)}


@pytest.mark.parametrize("name", ["place", "n"])
def test_a_field_may_have_any_name_beside_a_split_by_share(tmp_path: Path, name: str) -> None:
    """Both were names of columns that the split is made of."""
    schema = edited(('page = "page"', f'{name} = "page"'))
    schema = schema[: schema.index('by = "time"')] + 'by = "user_share"\nvalidation = 0.25\ntest = 0.25'
    splits = [(row["time"], row["item"], row["split"]) for row in raw_rows(tmp_path, schema) if row["user"] == "ann"]
    assert sorted(splits) == [
        (200, "x1", 0), (300, "x2", 0), (2000, "x1", 0), (2100, "x2", 1), (400_000, "x3", 2),
    ]  # fmt: skip


DAYS = {
    **FILES,
    # Days 0, 1, 2 in UTC; with an offset of two hours, 165,600 (22:00 of day 1) is in day 2.
    "shown.csv": "who,sku,at,clicked,page,part\n"
    "ann,x1,5000,1,p,a\nann,x2,5001,0,p,a\nann,x1,86400,1,p,b\nann,x2,86401,0,p,b\n"
    "ann,x1,165600,0,p,c\nann,x1,172800,1,p,c\nann,x2,172801,0,p,d\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("split", "offset", "expected"),
    [
        ('by = "day"\nvalidation_days = 1\ntest_days = 1', "+00:00", "ttvvvss"),
        ('by = "day"\nvalidation_days = 1\ntest_days = 1', "+02:00", "ttvvsss"),
        ('by = "column"\ncolumn = "part"\ntrain = "a"\nvalidation = "b"\ntest = ["c", "d"]', "+00:00", "ttvvsss"),
        # 7 x 0.29 = 2.03 and 7 x 0.3 = 2.1: the last two, and the two before them.
        ('by = "user_share"\nvalidation = 0.3\ntest = 0.29', "+00:00", "tttvvss"),
    ],
)
def test_splits(tmp_path: Path, split: str, offset: str, expected: str) -> None:
    schema = SCHEMA[: SCHEMA.index('by = "time"')] + split
    schema = schema.replace('time = "at"\nclick', f'time = {{column = "at", utc_offset = "{offset}"}}\nclick')
    times = [5000, 5001, 86400, 86401, 165600, 172800, 172801]
    splits = {row["time"]: row["split"] for row in raw_rows(tmp_path, schema, DAYS)}
    assert splits == {time: "tvs".index(part) for time, part in zip(times, expected, strict=True)}


def test_shares_are_rounded_down_as_numbers_are_written(tmp_path: Path) -> None:
    """100 x 0.29 is 28.999999999999996 in binary: 29 impressions are intended."""
    rows = "".join(f"ann,x1,{1000 + place},{place % 2},p\n" for place in range(100))
    files = {**FILES, "shown.csv": f"who,sku,at,clicked,page\n{rows}"}
    schema = SCHEMA[: SCHEMA.index('by = "time"')] + 'by = "user_share"\nvalidation = 0.1\ntest = 0.29'
    splits = [row["split"] for row in raw_rows(tmp_path, schema, files)]
    assert splits == [0] * 61 + [1] * 10 + [2] * 29


def test_a_split_by_share_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    """Four rows that differ in the conversion, or in what they say of user and item, alone; two are for training."""
    schema = edited(
        ('where = "clicked"\n', ""),
        ('click = "clicked"\n', 'click = "clicked"\nconversion = "bought"\n'),
        (WIDE[WIDE.index('by = "time"') :], 'by = "user_share"\nvalidation = 0.25\ntest = 0.25'),
        schema=WIDE,
    )
    head = "who,city,age,sku,kind,at,clicked,bought"
    rows = [f"ann,{rest}" for rest in ("Bonn,21,x1,hat,5,1,0", "Oslo,20,x1,hat,5,1,0", "Oslo,20,x1,hat,5,1,1")]
    rows.append("ann,Rome,20,x1,cap,5,1,1")
    # Every fifth of 24 orders: each row is first, and last, in one of them.
    orders = list(permutations(rows))[::5]
    assert {order[0] for order in orders} == {order[-1] for order in orders} == set(rows)
    for number, order in enumerate(orders):
        files = {"wide.csv": "\n".join([head, *order]) + "\n"}
        impressions = raw_rows(tmp_path / str(number), schema, files)
        assert sorted((row["split"], row["conversion"]) for row in impressions) == [(0, 0), (0, 0), (1, 1), (2, 1)]
        (ann,) = raw_rows(tmp_path / str(number), schema, files, "users")
        (item,) = raw_rows(tmp_path / str(number), schema, files, "items")
        assert (ann["city"], item["kind"]) == ("Bonn", "hat")


def test_a_split_by_files_with_a_drawn_validation(tmp_path: Path) -> None:
    rows = "".join(f"ann,x1,{1000 + place},{place % 2},p\n" for place in range(400))
    files = {name: text for name, text in FILES.items() if name != "shown.csv"}
    files |= {f"shown_{part}.csv": f"who,sku,at,clicked,page\n{rows}" for part in ("a", "b")}
    schema = edited(('"shown.csv"', '"shown_*.csv"'))
    schema = (
        schema[: schema.index('by = "time"')] + 'by = "file"\ntrain = "*_a.csv"\nvalidation = 0.25\ntest = "*_b.csv"'
    )
    first = raw_rows(tmp_path, schema, files)
    counts = [sum(row["split"] == code for row in first) for code in range(3)]
    # 100 are expected, with a standard deviation of 8.7.
    assert counts[0] + counts[1] == counts[2] == 400
    assert 60 < counts[1] < 140
    assert raw_rows(tmp_path / "again", schema, files) == first


def test_a_split_by_folders(tmp_path: Path) -> None:
    head, *rows = FILES["shown.csv"].splitlines()
    for day, part in enumerate((rows[:4], rows[4:6], rows[6:]), start=1):
        write_files(tmp_path / "raw" / f"day={day}", {"part-0.csv": "\n".join([head, *part]) + "\n"})
    files = {name: text for name, text in FILES.items() if name != "shown.csv"}
    by = 'by = "file"\ntrain = "day=1/*"\nvalidation = "day=2/*"\ntest = "day=3/*"'
    schema = edited(('"shown.csv"', '"day=*/*.csv"'), (SCHEMA[SCHEMA.index('by = "time"') :], by))
    for table in TABLES:
        assert raw_rows(tmp_path, schema, files, table) == raw_rows(tmp_path / "plain", SCHEMA, None, table)


def test_a_file_of_no_split_is_named_with_its_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "raw" / "day=1", {"part-0.csv": FILES["shown.csv"]})
    by = 'by = "file"\ntrain = "day=2/*"\nvalidation = "day=3/*"\ntest = "day=4/*"'
    schema = edited(('"shown.csv"', '"day=*/*.csv"'), (SCHEMA[SCHEMA.index('by = "time"') :], by))
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, schema)
    assert error.value.message == (
        f"{tmp_path}/my.toml: split: the file day=1/part-0.csv matches no split pattern. Expected exactly one."
    )


@pytest.mark.parametrize("by", ["column", "file"])
def test_validation_may_be_a_drawn_share_of_the_training_rows(tmp_path: Path, by: str) -> None:
    """The draw hashes the row's text, MD5's second half modulo a million: 57,051, 258,741, 575,312 and 50,374."""
    lines = [f"ann,x1,{time},{time % 2},p" for time in range(1000, 1006)]
    parts = {"tr": lines[:4], "te": lines[4:]}
    files = {name: text for name, text in FILES.items() if name != "shown.csv"}
    head = "who,sku,at,clicked,page,part\n"
    files |= {f"{part}.csv": head + "".join(f"{row},{part}\n" for row in rows) for part, rows in parts.items()}
    split = {
        "column": 'by = "column"\ncolumn = "part"\ntrain = "tr"\nvalidation = 0.2\ntest = "te"',
        "file": 'by = "file"\ntrain = "tr.*"\nvalidation = 0.2\ntest = "te.*"',
    }[by]
    schema = edited(('"shown.csv"', '["tr.csv", "te.csv"]'), (SCHEMA[SCHEMA.index('by = "time"') :], split))
    splits = {row["time"]: row["split"] for row in raw_rows(tmp_path, schema, files)}
    assert splits == {1000: 1, 1001: 0, 1002: 0, 1003: 1, 1004: 2, 1005: 2}
