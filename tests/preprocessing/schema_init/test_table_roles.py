"""Which columns are recognized, by their names and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.preprocessing.schema_init.recognized import RecognizedTable
from mailcli.preprocessing.schema_init.sniff import sample_file
from mailcli.preprocessing.schema_init.table_roles import group_tables, recognize_tables
from tests.helpers.proposals import FILES
from tests.helpers.schema_files import write_files


@pytest.mark.parametrize("name", ["behavior", "Behaviour", "event_type", "btag"])
def test_an_action_is_recognized_by_its_name(tmp_path: Path, name: str) -> None:
    history = f"user_id,timestamp,{name}\nu1,1699000000,view\nu1,1699000001,buy\n"
    raw = write_files(tmp_path, {**FILES, "history.csv": history})
    tables = recognize_tables(group_tables([sample_file(path) for path in sorted(raw.glob("*.csv"))]))
    assert tables.behaviors
    assert tables.behaviors.action
    assert tables.behaviors.action.name == name
    assert tables.unused == ()


def impressions_of(folder: Path, header: str, *rows: str) -> RecognizedTable:
    raw = write_files(folder, {"log.csv": "\n".join([header, *rows]) + "\n"})
    return recognize_tables(group_tables([sample_file(raw / "log.csv")])).impressions


@pytest.mark.parametrize(
    ("values", "unit", "time_format"),
    [
        (("1651882669000", "1651883728000"), "ms", ""),
        (("1651882669", "1651883728"), "s", ""),
        (("1651882669000000", "1651883728000000"), "us", ""),
        (("1651882669000000000", "1651883728000000000"), "ns", ""),
        (("1651882669.25", "1651883728.0"), "s", ""),
        (("1651882669000.0", "1651883728000.5"), "ms", ""),
        (("1.651882669e18", "1.651883728e18"), "ns", ""),
        (("874724710", "893286638"), "s", ""),  # MovieLens-100K's first and last rating, of 1997 and 1998
        (("2022-05-07T00:17:49Z", "2022-05-07T00:35:28Z"), "", "%Y-%m-%dT%H:%M:%SZ"),
        (("7 May 2022 00:17:49", "7 May 2022 00:35:28"), "", "%d %b %Y %H:%M:%S"),
        (("May 7, 2022 12:17 AM", "May 7, 2022 12:35 AM"), "", "%b %d, %Y %I:%M %p"),
        (("07/May/2022:00:17:49 +0200", "07/May/2022:00:35:28 +0200"), "", "%d/%b/%Y:%H:%M:%S %z"),
        (("20220507001749", "20220507003528"), "", "%Y%m%d%H%M%S"),
        (("2022-05-07 00:17:49", "2022-05-07 00:35:28"), "", "%Y-%m-%d %H:%M:%S"),
        (("2022-05-07", "2022-05-08"), "", "%Y-%m-%d"),
    ],
)
@pytest.mark.parametrize("name", ["showTime", "impression_time", "t0", "quando"])
def test_a_time_is_recognized_by_its_values(
    tmp_path: Path, name: str, values: tuple[str, str], unit: str, time_format: str
) -> None:
    first, second = values
    table = impressions_of(tmp_path, f"user_id,item_id,{name},click", f'u1,i1,"{first}",1', f'u1,i2,"{second}",0')
    assert table.time
    assert table.time.name == name
    assert table.time.time_formats[:1] == ((time_format,) if time_format else ())
    assert time_format or table.time.unit == unit


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("session_id", ("1651882669", "1651883728")),  # numbers that may be ids
        ("price", ("1651882669", "12")),  # one of them is too small
        ("code", ("20220507", "20220508")),  # digits alone
        ("phone", ("4712345678", "4712345679")),  # after 2040
    ],
)
def test_other_values_are_no_times(tmp_path: Path, name: str, values: tuple[str, str]) -> None:
    first, second = values
    table = impressions_of(tmp_path, f"user_id,item_id,{name},click", f"u1,i1,{first},1", f"u1,i2,{second},0")
    assert table.time is None


def test_days_are_times_by_their_values_if_there_are_several(tmp_path: Path) -> None:
    rows = [f"u1,i{day},2022050{day},1" for day in range(1, 6)]
    assert (table := impressions_of(tmp_path, "user_id,item_id,n,click", *rows)).time
    assert table.time.name == "n"


def test_of_several_times_one_is_taken_and_the_other_is_said(tmp_path: Path) -> None:
    row = "u1,i1,2022-05-07 00:00:00,1651882669,2020-01-01,1"
    assert (table := impressions_of(tmp_path, "user_id,item_id,a,at,showDate,click", row, row)).time
    assert (table.time.name, dict(table.reasons)) == ("at", {})
    # A day says less than a time.
    assert (table := impressions_of(tmp_path, "user_id,item_id,a,b,showDate,click", row, row)).time
    assert (table.time.name, dict(table.reasons)) == ("a", {"time": "'b' may be it, too"})
    # Of the same kind, a name that tells.
    assert (table := impressions_of(tmp_path, "user_id,item_id,a,playTime,showDate,click", row, row)).time
    assert (table.time.name, dict(table.reasons)) == ("playTime", {"time": "by its values"})
    # A time that some rows lack, such as that of the click, is not that of the impression.
    rows = ("u1,i1,1651882669,1651882670,1", "u1,i2,,1651882671,0")
    assert (table := impressions_of(tmp_path, "user_id,item_id,click_time,shown,click", *rows)).time
    assert (table.time.name, dict(table.reasons)) == ("shown", {"time": "by its values"})


def test_what_is_one_time_for_each_user_or_item_is_not_the_time(tmp_path: Path) -> None:
    rows = [
        f"u{n % 7},i{n % 5},20{n % 7:02}-01-01 00:00:00,199{n % 5}-01-01 00:00:00,2022-05-07 00:00:{n},{n % 2}"
        for n in range(10, 60)
    ]
    table = impressions_of(tmp_path, "user_id,item_id,born_at_time,released_time,t,click", *rows)
    assert table.time
    assert (table.time.name, dict(table.reasons)) == ("t", {"time": "by its values"})
    assert [column.name for column in table.user_columns] == ["born_at_time"]
    assert [column.name for column in table.item_columns] == ["released_time"]


@pytest.mark.parametrize(
    ("header", "role", "reason"),
    [
        ("user_id,customer_id,item_id,timestamp,click", "user", "'customer_id' may be it, too"),
        ("user_id,x,item_id,timestamp,click", "user", None),
        ("user_id,product_id,item_id,timestamp,click", "item", "'item_id' may be it, too"),
        ("user_id,product,item_id,timestamp,click", "item", None),
        ("user_id,label,item_id,timestamp,click", "click", "'click' may be it, too"),
    ],
)
def test_a_second_column_of_a_fitting_name_is_said(tmp_path: Path, header: str, role: str, reason: str | None) -> None:
    table = impressions_of(tmp_path, header, "1,0,7,1651882669,1", "1,1,8,1651882670,0")
    assert table.reasons.get(role) == reason
