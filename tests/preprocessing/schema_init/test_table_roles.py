"""Which columns are recognized, by their names and values."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_init.sniff import sample_file
from mailcli.preprocessing.schema_init.table_roles import RecognizedTable, recognize_tables
from tests.helpers.proposals import FILES
from tests.helpers.schema_files import write_files


@pytest.mark.parametrize("name", ["behavior", "Behaviour", "event_type", "btag"])
def test_an_action_is_recognized_by_its_name(tmp_path: Path, name: str) -> None:
    history = f"user_id,timestamp,{name}\nu1,1699000000,view\nu1,1699000001,buy\n"
    raw = write_files(tmp_path, {**FILES, "history.csv": history})
    tables = recognize_tables([sample_file(path) for path in sorted(raw.glob("*.csv"))])
    assert tables.behaviors
    assert tables.behaviors.action
    assert tables.behaviors.action.name == name
    assert tables.unused == ()


def impressions_of(folder: Path, header: str, *rows: str) -> RecognizedTable:
    raw = write_files(folder, {"log.csv": "\n".join([header, *rows]) + "\n"})
    return recognize_tables([sample_file(raw / "log.csv")]).impressions


@pytest.mark.parametrize(
    ("values", "unit", "time_format"),
    [
        (("1651882669000", "1651883728000"), "ms", ""),
        (("1651882669", "1651883728"), "s", ""),
        (("1651882669000000000", "1651883728000000000"), "ns", ""),
        (("2022-05-07 00:17:49", "2022-05-07 00:35:28"), "", "%Y-%m-%d %H:%M:%S"),
        (("2022-05-07", "2022-05-08"), "", "%Y-%m-%d"),
    ],
)
@pytest.mark.parametrize("name", ["showTime", "impression_time", "t0", "quando"])
def test_a_time_is_recognized_by_its_values(
    tmp_path: Path, name: str, values: tuple[str, str], unit: str, time_format: str
) -> None:
    first, second = values
    table = impressions_of(tmp_path, f"user_id,item_id,{name},click", f"u1,i1,{first},1", f"u1,i2,{second},0")
    assert table.time
    assert table.time.name == name
    assert (table.time.unit, table.time.time_formats[:1]) == (unit, (time_format,) if time_format else ())


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


def test_a_column_with_the_name_of_a_time_is_preferred(tmp_path: Path) -> None:
    row = "u1,i1,2022-05-07 00:00:00,1651882669,2020-01-01,1"
    assert (table := impressions_of(tmp_path, "user_id,item_id,a,at,showDate,click", row, row)).time
    assert table.time.name == "at"
    assert (table := impressions_of(tmp_path, "user_id,item_id,a,b,showDate,click", row, row)).time
    assert table.time.name == "showDate"


def test_lists_of_impressions_are_recognized(tmp_path: Path) -> None:
    pages = "p,U0,11/9/2019 1:05:00 AM,N1 N2,N0-0 N3-0\np,U1,11/9/2019 1:05:00 AM,N1,N1-1\n"
    raw = write_files(tmp_path, {"pages.csv": pages})
    with pytest.raises(MailError) as error:
        recognize_tables([sample_file(raw / "pages.csv")])
    assert (
        "pages.csv: 'column_5' may hold lists of impressions such as 'N1-1': write one row for each first, for example "
        "with pandas (docs/your-own-data.md, Other forms of files)."
    ) in error.value.message


def test_parquet_lists_of_impressions_are_recognized(tmp_path: Path) -> None:
    table = {"user_id": [1, 2], "impression_time": [1, 2], "article_ids_inview": [[1, 2], [3]]}
    pq.write_table(pa.table(table), tmp_path / "pages.parquet")
    with pytest.raises(MailError, match=r"'article_ids_inview' may hold lists of impressions: write one row for each"):
        recognize_tables([sample_file(tmp_path / "pages.parquet")])
