"""Values of an impression file get the types of the dataset."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from mailcli.errors import MailError
from mailcli.serving.faults import Faults
from mailcli.serving.impression_frame import ImpressionFrame
from mailcli.serving.value_checks import RequiredColumn, as_texts, cast_column, is_convertible, is_csv_value


def test_values_are_typed_as_the_dataset_has_them() -> None:
    wrong: dict[str, list[bool]] = {}

    def read(values: pa.Array, is_text: bool = False, optional: bool = True) -> list[Any]:
        """The values; `wrong` has a mask of the faulty ones for each expectation."""
        wrong.clear()

        def report(mask: pa.Array, expected: str) -> None:
            is_wrong = mask.fill_null(False).to_pylist()
            if any(is_wrong):
                wrong[expected] = is_wrong

        converted: list[Any] = cast_column(values, RequiredColumn("x", is_text, optional), report).to_pylist()
        return converted

    number = "a whole number or nothing."
    between = "a whole number between -9223372036854775807 and 9223372036854775807."
    texts = ["0", "-7", "9223372036854775807", "9223372036854775808", "07", "1.5", "", None, "-0"]
    texts += ["-9223372036854775808", "99999999999999999999", "-9223372036854775807"]
    numbers = [0, -7, 9223372036854775807, *[None] * 8, -9223372036854775807]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()):
        assert read(pa.array(texts).cast(kind)) == numbers
        assert wrong == {
            number: [row in {4, 5, 8} for row in range(12)],
            between: [row in {3, 9, 10} for row in range(12)],
        }
    assert read(pa.array(texts).dictionary_encode()) == numbers
    assert read(pa.array(["1", "", None]), optional=False) == [1, None, None]
    assert wrong == {"a whole number.": [False, True, True]}
    assert read(pa.array([1.0, 1.5, float("nan"), None, 2.0**53, -float("inf"), 2.0**53 - 1])) == (
        [1, *[None] * 5, 9007199254740991]
    )
    assert wrong == {
        number: [False, True, *[False] * 5],
        "a whole number between -9007199254740991 and 9007199254740991.": [*[False] * 4, True, True, False],
    }
    assert read(pa.array([1.0, 2.0**24, 2.0**24 - 1], pa.float32())) == [1, None, 16777215]
    assert wrong == {"a whole number between -16777215 and 16777215.": [False, True, False]}
    halves = np.array([5, 2047, 2048, 4097, np.nan], np.float16)
    assert read(pa.array(halves)) == [5, 2047, None, None, None]
    assert wrong == {"a whole number between -2047 and 2047.": [False, False, True, True, False]}
    texts = ["7.0", "-7.00", "123456789012345.0", "1234567890123456.0", "07.0", "-0.0", ".0"]
    assert read(pa.array(texts)) == [7, -7, 123456789012345, None, None, None, None]
    assert wrong == {number: [*[False] * 3, *[True] * 4]}
    assert read(pa.array([3, None], pa.int32())) == [3, None]
    assert wrong == {}
    assert read(pa.array([3, 2**63 - 1, 2**63, None], pa.uint64())) == [3, 9223372036854775807, None, None]
    assert wrong == {between: [False, False, True, False]}
    assert read(pa.array([-(2**63), 1 - 2**63], pa.int64())) == [None, -9223372036854775807]
    assert wrong == {between: [True, False]}
    assert read(pa.nulls(2)) == [None, None]
    assert read(pa.nulls(2), optional=False) == [None, None]
    assert wrong == {"a whole number.": [True, True]}
    for kind in (pa.string(), pa.string_view(), pa.binary()):
        assert read(pa.array(["a", "", None]).cast(kind), is_text=True) == ["a", None, None]
    assert wrong == {}
    assert read(pa.array([b"a", b"caf\xe9"]), is_text=True) == ["a", "caf\ufffd"]
    assert wrong == {"UTF-8: save the file in that encoding.": [False, True]}
    assert read(pa.array([5, 6]), is_text=True) == ["5", "6"]


def test_numbers_are_read_as_preprocessing_reads_them() -> None:
    wrong: list[Any] = []

    def read(values: pa.Array) -> list[Any]:
        """The numbers; `wrong` has the faulty values."""
        wrong.clear()
        column = RequiredColumn("x", is_text=False, optional=True, may_be_fractions=True, missing=("?",))
        return cast_column(values, column, lambda mask, _: wrong.extend(values.filter(mask).to_pylist())).to_pylist()

    texts = ["18", " 18 ", "1e3", ".5", "5.", "-0.25", "+7", "", "?", None]
    assert read(pa.array(texts)) == [18, 18, 1000, 0.5, 5, -0.25, 7, None, None, None]
    assert wrong == []
    no_numbers = ["x", "nan", "inf", "1e400", "0x10", "1,5", "1_0", "-"]
    assert read(pa.array(no_numbers).dictionary_encode()) == [None] * 8
    assert sorted(wrong) == sorted(no_numbers)
    # The float of 32 bits that is written 0.7 reaches an edge 0.7, though it is smaller.
    assert read(pa.array(np.array([0.7, np.nan, np.inf], np.float32))) == [0.7, None, None]
    assert wrong == [float("inf")]
    # DuckDB, and so preprocessing, reads 16 bits as 32.
    assert read(pa.array(np.array([0.1, 0.7, np.nan, 65504], np.float16))) == [0.099975586, 0.7001953, None, 65504]
    assert wrong == []
    assert read(pa.array([1, None, 2**63 - 1])) == [1, None, 2.0**63]
    assert read(pa.array([Decimal("1.5")])) == [1.5]
    assert wrong == []


def test_whole_decimals_are_whole_numbers() -> None:
    """Databases give ids as decimals; preprocessing reads those, too."""
    wrong: list[Any] = []
    required = RequiredColumn("x", is_text=False, optional=True)
    for kind in (pa.decimal128(22, 2), pa.decimal256(40, 2)):
        wrong.clear()
        values = ["7", "-7.00", "7.50", "9223372036854775807", "9223372036854775808", "0.00", None]
        column = pa.array([None if text is None else Decimal(text) for text in values], kind)
        cast = cast_column(column, required, lambda mask, _: wrong.extend(mask.fill_null(False).to_pylist()))
        assert cast.to_pylist() == [7, -7, None, 9223372036854775807, None, 0, None]
        assert wrong == [False, False, True, *[False] * 8, True, False, False]
    assert is_convertible(pa.decimal128(5, 2), required)


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1.5, -1.0, 1e20, float("nan"), None]), ["1.5", None, "1e+20", None, None]),
        (pa.array([0.7], pa.float32()), ["0.7"]),
        (pa.array(np.array([1.5, np.nan], np.float16)), ["1.5", None]),
        (pa.array([Decimal("1.50"), Decimal("-1.00")]), ["1.50", None]),
        (pa.array([18262, None], pa.date32()), ["1577836800", None]),
        (pa.array([1577836800999999], pa.timestamp("us")), ["1577836800"]),
        (pa.array([1577836800], pa.timestamp("s", "Europe/Rome")), ["1577836800"]),
        (pa.array([36_000_000_000], pa.time64("us")), ["10:00:00"]),
    ],
)
def test_values_of_parquet_are_the_texts_that_preprocessing_makes_of_them(
    column: pa.Array, texts: list[str | None]
) -> None:
    required = RequiredColumn("x", is_text=True, optional=True, missing=("-1",))
    assert is_convertible(column.type, required)
    assert cast_column(column, required, lambda mask, _: None).to_pylist() == texts


def test_decimals_that_preprocessing_does_not_read_are_no_texts() -> None:
    required = RequiredColumn("x", is_text=True, optional=True)
    assert not is_convertible(pa.decimal256(40, 2), required)
    assert is_convertible(pa.decimal128(38, 2), required)


def test_a_time_without_a_zone_is_no_time_of_an_impression() -> None:
    required = RequiredColumn("time", is_text=False, optional=False, is_time=True)
    assert is_convertible(pa.timestamp("us", "UTC"), required)
    for kind in (pa.timestamp("us"), pa.date32(), pa.time64("us"), pa.duration("s")):
        assert not is_convertible(kind, required)
    # Dates in buckets are seconds since 1970.
    assert is_convertible(pa.date32(), RequiredColumn("x", is_text=False, optional=True, may_be_fractions=True))


def test_only_bytes_and_lists_are_no_values_of_a_csv() -> None:
    no_values = [pa.binary(), pa.large_binary(), pa.binary(3), pa.binary_view(), pa.list_(pa.int64()), pa.uuid()]
    assert not any(map(is_csv_value, no_values))
    assert all(map(is_csv_value, [pa.string(), pa.int8(), pa.float16(), pa.timestamp("s", "UTC"), pa.null()]))


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint64(), pa.int64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(5, 1)]
)
def test_numbers_that_mean_missing_are_missing(kind: pa.DataType) -> None:
    """Whatever a DataFrame or a Parquet file holds of a raw text `9`, it is missing as in preprocessing."""
    column = pa.array(np.array([9, 3, 0], np.float16) if kind == pa.float16() else [9, 3, 0], kind)
    for may_be_fractions in (False, True):
        required = RequiredColumn("x", False, True, may_be_fractions, missing=("9", "NULL", "inf"))
        assert cast_column(column, required, lambda mask, _: None).to_pylist() == [None, 3, 0]


def test_texts_of_numbers_that_mean_missing_are_missing() -> None:
    """As pandas writes a column with gaps; as strings, 9.0 and 9 are two."""
    column = pa.array(["9", "9.0", " 9.00", "3", None, "x"])
    for may_be_fractions in (False, True):
        wrong: list[list[bool | None]] = []
        required = RequiredColumn("x", False, True, may_be_fractions, missing=("9", "NULL"))

        def note(mask: Any, _: str, wrong: list[list[bool | None]] = wrong) -> None:
            wrong.append(mask.to_pylist())

        values = cast_column(column, required, note)
        assert values.to_pylist() == [None, None, None, 3, None, None]
        assert wrong[0] == [None, None, None, False, None, True]
    text = cast_column(column, RequiredColumn("x", True, True, missing=("9",)), lambda mask, _: None)
    assert text.to_pylist() == [None, "9.0", " 9.00", "3", None, "x"]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["3", "3.0", "Mon", "", None, "07"]), ["3", "3", "Mon", None, None, "07"]),
        (pa.array([b"3", b"Mon"]), ["3", "Mon"]),
        (pa.array([3.0, 2.5, float("nan"), None]), ["3", "2.5", None, None]),
        (pa.array([3, None], pa.uint8()), ["3", None]),
        (pa.array([True, None]), ["1", None]),
        (pa.nulls(1), [None]),
        (pa.array(["Mon"]).dictionary_encode(), ["Mon"]),
        (pa.array([[1], None]), ["list<item: int64>", None]),
        (pa.array([2**62], pa.timestamp("us")), ["4611686018427"]),
    ],
)
def test_a_column_that_is_only_compared_may_hold_anything(column: pa.Array, texts: list[str | None]) -> None:
    assert as_texts(column, RequiredColumn("hour", False, True)).to_pylist() == texts


def test_booleans_are_0_and_1() -> None:
    """As preprocessing reads those of Parquet files."""
    column, required = pa.array([True, None, False]), RequiredColumn("x", False, True)
    for is_text, expected in ((False, [1, None, 0]), (True, ["1", None, "0"])):
        assert is_convertible(pa.bool_(), required._replace(is_text=is_text))
        values = cast_column(column, required._replace(is_text=is_text), lambda mask, _: None).to_pylist()
        assert values == expected


def test_numbers_of_16_bits_are_read() -> None:
    column = pa.array(np.array([1, 2, np.nan], np.float16))
    wrong: list[int] = []
    required = RequiredColumn("x", is_text=False, optional=True)
    cast = cast_column(column, required, lambda mask, _: wrong.append(mask.fill_null(False).to_pylist().count(True)))
    assert cast.to_pylist() == [1, 2, None]
    assert not any(wrong)


def test_times_with_and_without_a_zone_are_refused() -> None:
    """Arrow would take the one without for UTC."""
    times = [datetime(2017, 5, 12, 9, tzinfo=UTC), datetime(2017, 5, 12, 9)]
    with pytest.raises(MailError) as error:
        ImpressionFrame(pd.DataFrame({"time": pd.Series(times, dtype=object)}), ["time"])
    assert error.value.message == (
        "DataFrame: column 'time' holds times with and without a time zone. Expected a zone for each, or seconds since 1970."
    )


def test_a_missing_time_among_those_with_a_zone_is_missing() -> None:
    """pandas' NaT is a datetime, which has no zone."""
    times = pd.Series([datetime(2017, 5, 12, 9, tzinfo=UTC), pd.NaT, None], dtype=object)
    (batch,) = ImpressionFrame(pd.DataFrame({"time": times}), ["time"]).read(10, Faults("DataFrame"))
    assert batch.column(0).is_null().to_pylist() == [False, True, True]
