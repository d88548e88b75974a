"""What a column may hold: times and their formats."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import duckdb
import pytest

from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.time_values import TIME_FORMATS


@pytest.mark.parametrize("time_format", TIME_FORMATS)
def test_a_form_of_times_is_read_by_the_engine_as_it_was_meant(time_format: str) -> None:
    written = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC).strftime(time_format.replace("%n", "%f000"))
    assert ColumnProfile("a", (written,)).time_formats[0] == time_format
    (seconds,) = duckdb.execute(f"SELECT epoch_us(try_strptime('{written}', '{time_format}')) // 1000000").fetchall()
    # 2023-11-14 is 19,675 days after 1970-01-01.
    codes = re.findall("%-?.", time_format)
    clock = sum(part for code, part in {"%H": 79_200, "%I": 79_200, "%M": 780, "%S": 20}.items() if code in codes)
    assert seconds == (19_675 * 86_400 + clock,)


def test_numbers_are_times_of_digits_alone_only_if_nothing_else_is_likely() -> None:
    assert ColumnProfile("a", ("20231114", "20240101")).time_formats == ("%Y%m%d",)
    assert ColumnProfile("a", ("199011",)).time_formats == ()
    assert ColumnProfile("a", ("12340506",)).time_formats == ()
    assert ColumnProfile("a", ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00+00:00")).time_formats == ()
    assert ColumnProfile("a", ("1700000000",)).unit == "s"
    assert ColumnProfile("a", ("1700000000000",)).unit == "ms"
    assert ColumnProfile("a", ("1700000000000000",)).unit == "us"
    assert ColumnProfile("a", ("1700000000000000000",)).unit == "ns"
    assert ColumnProfile("a", ("17000000000000000000",)).unit == ""


def test_of_day_and_month_the_order_is_taken_in_which_the_days_follow_each_other() -> None:
    in_a_row = tuple(f"05/{day:02}/2023" for day in range(1, 9))
    assert ColumnProfile("a", in_a_row).time_formats == ("%m/%d/%Y", "%d/%m/%Y")
    assert ColumnProfile("a", ("02/03/2024", "04/05/2024")).time_formats == ("%d/%m/%Y", "%m/%d/%Y")


def test_fractions_of_some_seconds_are_cut_off() -> None:
    """Python's isoformat leaves them out where they are zero."""
    column = ColumnProfile("a", ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5Z"))
    assert (column.time_formats, column.formats_of_whole_seconds) == ((), ("%Y-%m-%dT%H:%M:%S",))
    assert column.is_likely_time
    assert ColumnProfile("a", ("2023-11-14T22:13:20", "2023-11-14T22:13:21")).formats_of_whole_seconds == ()


def test_nine_digits_after_the_second_are_nanoseconds() -> None:
    nine, six = "2023-11-14 22:13:20.123456789", "2023-11-14 22:13:20.123456"
    assert ColumnProfile("a", (nine, six)).time_formats == ("%Y-%m-%d %H:%M:%S.%n",)
    assert ColumnProfile("a", (six,)).time_formats == ("%Y-%m-%d %H:%M:%S.%f",)
    assert ColumnProfile("a", ("2023-11-14 22:13:20.1234567890",)).time_formats == ()
