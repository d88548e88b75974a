"""Whole numbers that are written as floats, as pandas writes a column of ids with gaps: 12.0 counts as 12."""

from __future__ import annotations

import pyarrow as pa

#: Most digits of a whole number that a float of 64 bits always holds exactly; behind more digits, `.0` may hide another
#: number.
FLOAT_DIGITS = 15
_DIGITS_BY_BITS = {16: 3, 32: 7, 64: FLOAT_DIGITS}
#: All digits of a number that fits into 64 bits, except for the largest.
_DECIMAL_DIGITS = 18


def exact_digits(data_type: pa.DataType | None) -> int:
    """Most digits of a whole number that a column holds exactly where its values have a point.

    Args:
        data_type: of a Parquet column, or of the values in its lists; None for text.
    """
    if data_type is not None and pa.types.is_floating(data_type):
        return _DIGITS_BY_BITS[data_type.bit_width]
    return _DECIMAL_DIGITS if data_type is not None and pa.types.is_decimal(data_type) else FLOAT_DIGITS


def without_zeros(text: str, digits: int = FLOAT_DIGITS, matches: str = "regexp_matches({}, {})") -> str:
    """SQL for a text without the `.0` of a whole number; any other text stays as it is.

    Args:
        text: SQL of the text.
        digits: the most digits before the point.
        matches: how the engine asks whether a text matches a regular expression.
    """
    has_zeros = matches.format(text, f"'^-?[0-9]{{1,{digits}}}[.]0+$'")
    # Regular expressions are slow, and texts without a point do not need them.
    return (
        f"(CASE WHEN instr({text}, '.') > 0 AND {has_zeros} THEN regexp_replace({text}, '[.]0+$', '') ELSE {text} END)"
    )
