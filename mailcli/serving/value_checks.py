"""Values of an impression file, converted to the dataset's types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mailcli.preprocessing.schema_file.parquet import is_number, is_time
from mailcli.preprocessing.schema_file.sql import as_text
from mailcli.utils.parsing import numbers_among

#: Whole numbers in plain notation.
_WHOLE_NUMBER = r"^(0|-?[1-9][0-9]*)$"
#: The largest whole number of a column; the smallest int64 stands for a missing value.
_LARGEST = 2**63 - 1
#: A whole number that is written as a float, up to the size at which a float always holds it exactly.
_WRITTEN_AS_FLOAT = r"^(-?[0-9]{1,15})\.0+$"
#: What a decimal number has behind the point if it is whole.
_ZEROS = r"\.0+$"
#: Numbers as preprocessing reads them; an exponent may make one infinite.
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
#: By the width of a column of floats, up to where it represents every whole number.
_LARGEST_FLOAT = {16: 2**11 - 1, 32: 2**24 - 1, 64: 2**53 - 1}

Report = Callable[[pa.Array, str], None]
"""Called with a mask of faulty values, and with what was expected of them."""


class RequiredColumn(NamedTuple):
    """A column that is read."""

    name: str
    is_text: bool
    optional: bool
    """Whether values may be missing."""
    may_be_fractions: bool = False
    """Whether numbers need not be whole."""
    missing: tuple[str, ...] = ()
    """Strings that stand for a missing value, besides the empty one; as numbers, too."""
    is_time: bool = False
    """Whether numbers are seconds since 1970; Arrow's timestamps become that, too."""

    @property
    def expected_type(self) -> str:
        """What a column should hold, for an error text."""
        return "seconds since 1970, or times with a time zone" if self.is_time else self.expected

    @property
    def expected(self) -> str:
        """What a value should be, for an error text."""
        if self.is_time:
            return "a whole number of seconds since 1970"
        number = "a number" if self.may_be_fractions else "a whole number"
        return ("a string" if self.is_text else number) + (" or nothing" if self.optional else "")


def is_string_type(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds strings."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def may_encode_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds bytes of any length, which may encode strings."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def is_csv_value(kind: pa.DataType) -> bool:
    """Whether a CSV can hold values of an Arrow type as they are: neither bytes nor lists."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    is_any_bytes = may_encode_text(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind)
    return not (is_any_bytes or pa.types.is_nested(kind))


def is_convertible(kind: pa.DataType, required: RequiredColumn) -> bool:
    """Whether values of an Arrow type may be what is required."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_time(kind) or pa.types.is_time(kind):
        # Which instant a time without a zone is, a file of impressions does not say.
        return not required.is_time or (pa.types.is_timestamp(kind) and kind.tz is not None)
    if pa.types.is_decimal256(kind) and required.is_text:
        # Preprocessing reads none, so there are no texts that it would have made of them.
        return False
    is_single_value = pa.types.is_boolean(kind) or is_number(kind) or pa.types.is_null(kind)
    return is_string_type(kind) or may_encode_text(kind) or is_single_value


def cast_column(column: pa.Array, required: RequiredColumn, report: Report) -> pa.Array:
    """A column as strings, int64 or, where it may hold fractions, float64; null where a value is missing or faulty.

    Args:
        column: of a type that `is_convertible`.
        required: what it should hold.
        report: called with faulty values.
    """
    column = _decode(column, report)
    if is_time(column.type):
        # Fractions of a second are cut off, as in preprocessing.
        column = column.cast(pa.timestamp("s", getattr(column.type, "tz", None)), safe=False).cast(pa.int64())
    if required.missing and is_string_type(column.type):
        column = pc.if_else(pc.is_in(column, pa.array(required.missing, pa.string())), None, column)
        column = column if required.is_text else _without_number_texts(column, numbers_among(required.missing))
    elif required.missing:
        column = _without_numbers(column, numbers_among(required.missing))
    if not required.optional:
        is_missing = column.is_null()
        if is_string_type(column.type):
            is_missing = pc.or_(is_missing, pc.equal(column, "").fill_null(False))
        report(is_missing, f"{required.expected}.")
    if required.is_text:
        return _empty_as_null(_as_preprocessed(column))
    if required.may_be_fractions:
        return _cast_to_numbers(column, f"{required.expected}.", report)
    return _cast_to_integers(column, f"{required.expected}.", report)


def _as_preprocessed(column: pa.Array) -> pa.Array:
    """A column as the texts that preprocessing makes of one of Parquet: by DuckDB, which writes 1e20 in its own way."""
    if pa.types.is_integer(column.type) or is_string_type(column.type):
        return column.cast(pa.string())
    if pa.types.is_floating(column.type):
        column = _nan_as_null(column)
    with duckdb.connect() as connection:
        rows = connection.from_arrow(pa.table({"value": column}))
        return rows.project(f"{as_text('value', column.type)} AS value").to_arrow_table()["value"].combine_chunks()


def as_texts(column: pa.Array, required: RequiredColumn) -> pa.Array:
    """A column that is only compared: its values as text, whole numbers without `.0`; null where one is missing."""
    if not is_convertible(column.type, required):
        return pc.if_else(column.is_valid(), str(column.type), pa.scalar(None, pa.string()))
    is_other = np.zeros(len(column), bool)

    def report(wrong: pa.Array, expected: str) -> None:
        del expected
        is_other[wrong.fill_null(False).to_numpy(zero_copy_only=False)] = True

    texts = cast_column(column, required, report).cast(pa.string())
    if not is_other.any():
        return texts
    values = (None if value is None else str(value) for value in _decode(column, report).to_pylist())
    return pc.if_else(pa.array(is_other), pa.array(values, pa.string()), texts)


def _without_number_texts(column: pa.Array, numbers: Sequence[float]) -> pa.Array:
    """A column of texts with nulls in place of those of some numbers: -1.0 stands for -1, as pandas writes it."""
    if not numbers:
        return column
    text = pc.utf8_trim_whitespace(column)
    values = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None).cast(pa.float64())
    return pc.if_else(pc.is_in(values, pa.array(numbers, pa.float64())), None, column)


def _without_numbers(column: pa.Array, numbers: Sequence[float]) -> pa.Array:
    """A column with nulls in place of some numbers: those that stand for a missing value."""
    if not numbers or not is_number(column.type):
        return column
    if pa.types.is_floating(column.type):
        column = _nan_as_null(column)
    # By the shortest text of a float: 0.7 of 32 bits is 0.7.
    values = column.cast(pa.string()) if pa.types.is_float32(column.type) else column
    is_one = pc.is_in(values.cast(pa.float64(), safe=False), pa.array(numbers, pa.float64()))
    return pc.if_else(is_one, pa.scalar(None, column.type), column)


def _cast_to_numbers(column: pa.Array, expected: str, report: Report) -> pa.Array:
    """As float64; none of them is infinite."""
    if pa.types.is_floating(column.type):
        column = _nan_as_null(column)
        # Preprocessing reads the shortest text of a float: 0.7 of 32 bits is 0.7, not 0.69999999.
        column = column if pa.types.is_float64(column.type) else column.cast(pa.string())
    if is_string_type(column.type):
        text = pc.utf8_trim_whitespace(_empty_as_null(column))
        looks_numeric = pc.match_substring_regex(text, _NUMBER)
        report(pc.invert(looks_numeric), expected)
        column = pc.if_else(looks_numeric, text, None)
    numbers = column.cast(pa.float64(), safe=False)
    is_finite = pc.is_finite(numbers)
    report(pc.invert(is_finite), expected)
    return pc.if_else(is_finite, numbers, None)


def _cast_to_integers(column: pa.Array, expected: str, report: Report) -> pa.Array:
    largest = _LARGEST
    if pa.types.is_decimal(column.type):
        column = pc.replace_substring_regex(column.cast(pa.string()), _ZEROS, "")
    if is_string_type(column.type):
        column = pc.replace_substring_regex(_empty_as_null(column), _WRITTEN_AS_FLOAT, r"\1")
        is_whole = pc.match_substring_regex(column, _WHOLE_NUMBER)
        # A number as long as the largest is compared digit by digit.
        digits, length = pc.utf8_ltrim(column, "-"), len(str(_LARGEST))
        is_as_long = pc.equal(pc.utf8_length(digits), length)
        in_range = pc.or_(
            pc.less(pc.utf8_length(digits), length), pc.and_(is_as_long, pc.less_equal(digits, str(_LARGEST)))
        )
    elif pa.types.is_floating(column.type):
        # pandas stores whole numbers as floats if one is missing.
        largest = _LARGEST_FLOAT[column.type.bit_width]
        column = _nan_as_null(column).cast(pa.float64())
        is_whole = pc.equal(pc.floor(column), column)
        in_range = pc.less_equal(pc.abs(column), float(largest))
    else:
        # Decimals, because no integer type of Arrow holds the values of all others.
        numbers = column.cast(pa.decimal128(20))
        is_whole = pc.equal(numbers, numbers)
        in_range = pc.less_equal(pc.abs(numbers), pa.scalar(_LARGEST).cast(numbers.type))
    report(pc.invert(is_whole), expected)
    report(pc.and_(is_whole, pc.invert(in_range)), f"a whole number between -{largest} and {largest}.")
    return pc.if_else(pc.and_(is_whole, in_range), column, None).cast(pa.int64())


def _nan_as_null(column: pa.Array) -> pa.Array:
    """Floats without NaN; those of 16 bits, with which Arrow and DuckDB compute little, as 32 bits."""
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    return pc.if_else(pc.is_nan(column), None, column)


def _empty_as_null(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(column, ""), None, column)


def _decode(column: pa.Array, report: Report) -> pa.Array:
    """A column of strings or bytes as Arrow's plain strings, Booleans as 0 and 1; no dictionary encoding."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if may_encode_text(column.type):
        return decode_bytes(column, report)
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8())
    return column.cast(pa.string()) if is_string_type(column.type) or pa.types.is_null(column.type) else column


def decode_bytes(column: pa.Array, report: Report) -> pa.Array:
    """A column of bytes as strings; what is not UTF-8 is reported, and decoded with replacement characters."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        values = column.to_pylist()
        texts = [None if value is None else value.decode(errors="replace") for value in values]
        wrong = [text is not None and text.encode() != value for value, text in zip(values, texts, strict=True)]
        report(pa.array(wrong), "UTF-8: save the file in that encoding.")
        return pa.array(texts, pa.string())
