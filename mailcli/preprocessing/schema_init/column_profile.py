"""What one column seems to hold, judged by its first rows: ids, numbers, Booleans, times, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mailcli.preprocessing.schema_init.time_values import (
    are_likely,
    formats_of_whole_seconds,
    largest_unit,
    time_formats,
)

#: Common ways to write a missing value.
MISSING = ("NULL", "null", "NA", "N/A", "NaN", "nan", "None", "UNKNOWN", "\\N", "?")
#: Separators that make a value a list, and the share of values that must contain one (ours).
LIST_SEPARATORS, LIST_SHARE = ("|", ";", ","), 0.2
#: Also as a float; of a longer one, `.0` may hide another number.
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})|-?(0|[1-9]\d{0,14})\.0+")
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"-?\d+(?:\.\d{3})*,(\d+)")
#: Names of columns that are likely to be times.
TIME_NAME = re.compile("time|date|day|stamp")
#: This many distinct numbers that are all dates, such as 20240229, are no accident (ours; one of 25 numbers
#: from 20000101 to 20401231 is a date).
_MANY_DATES = 5


@dataclass(frozen=True)
class ColumnProfile:
    """One column, judged by the values of the first rows."""

    name: str
    values: tuple[str, ...]
    """Without missing values; Parquet times in seconds since 1970."""
    missing: tuple[str, ...] = ()
    """Values that seem to mean missing."""
    is_time: bool = False
    """A Parquet time or date."""
    lengths: tuple[int, ...] | None = None
    """Length of each Parquet list; None if the column does not hold lists."""
    unusable: str = ""
    """What a Parquet column holds that can be neither an id nor a field, such as `maps`."""
    cells: tuple[str, ...] = ()
    """The value of each row, empty where it is missing; no cells if the column does not hold single values."""

    @property
    def is_single(self) -> bool:
        """Whether each row holds one value, which may be an id or a label."""
        return self.lengths is None and not self.unusable

    @cached_property
    def distinct(self) -> int:
        """Number of distinct values."""
        return len(set(self.values))

    @property
    def is_unique(self) -> bool:
        """Whether no value occurs twice."""
        return self.distinct == len(self.values)

    @cached_property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers, written plainly or as floats."""
        return bool(self.values) and all(_INTEGER.fullmatch(value) for value in self.values)

    @cached_property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return bool(self.values) and all(
            _NUMBER.fullmatch(value) and math.isfinite(float(value)) for value in self.values
        )

    @cached_property
    def is_binary(self) -> bool:
        """Whether all values are 0 or 1, or all are true or false."""
        if not self.values:
            return False
        if self.is_number:
            return {float(value) for value in self.values} <= {0.0, 1.0}
        return {value.lower() for value in self.values} <= {"true", "false"}

    @cached_property
    def has_decimal_comma(self) -> bool:
        """Whether all values are numbers with a decimal comma and equally many digits after it, like prices."""
        matches = [_DECIMAL_COMMA.fullmatch(value) for value in self.values]
        decimals = {len(match[1]) if match else 0 for match in matches}
        return len(decimals) == 1 and decimals != {0}

    @cached_property
    def list_separator(self) -> str:
        """What separates the values of a list; empty if the column does not hold lists."""
        if self.name.endswith(":token_seq"):  # RecBole's files
            return " "
        for separator in LIST_SEPARATORS:
            lists = [value for value in self.values if separator in value]
            # Titles have blanks after their commas, intervals such as "(0,10]" have brackets.
            if len(lists) > LIST_SHARE * len(self.values) and not any(
                f"{separator} " in value or value[0] in "([" for value in lists
            ):
                return "" if separator == "," and self.has_decimal_comma else separator
        return ""

    @property
    def max_values(self) -> int:
        """Largest number of distinct values in a list."""
        if self.lengths is not None:
            return max(self.lengths, default=0)
        separator = self.list_separator
        lists = ({part.strip() for part in value.split(separator)} - {""} for value in self.values)
        return max(map(len, lists), default=0) if separator else 1

    @cached_property
    def time_formats(self) -> tuple[str, ...]:
        """The formats in which all values may be times written as text."""
        return time_formats(set(self.values))

    @cached_property
    def formats_of_whole_seconds(self) -> tuple[str, ...]:
        """The formats of times of which only some have a fraction of a second, as Python's isoformat writes them."""
        return formats_of_whole_seconds(set(self.values))

    @property
    def unit(self) -> str:
        """The unit of numbers that may count the time since 1970, by their size; empty if they do not."""
        return largest_unit(max(map(float, self.values))) if self.is_number else ""

    @cached_property
    def is_likely_time(self) -> bool:
        """Whether the values can hardly be anything else: texts of times, or numbers in a few decades of one unit."""
        if self.is_time:
            return True
        is_id = self.name.lower().endswith(("id", "code"))
        if self.is_number and self.unit and not is_id and are_likely([float(v) for v in self.values], self.unit):
            return True
        if not self.is_whole:
            return bool(self.time_formats) or bool(self.formats_of_whole_seconds)
        if self.time_formats[:1] == ("%Y%m%d%H%M%S",):
            return True
        # Of numbers of eight digits, few are dates.
        is_named = bool(TIME_NAME.search(self.name.lower())) or (self.distinct >= _MANY_DATES and not is_id)
        return is_named and bool(self.time_formats)


def merge_profiles(columns: Sequence[ColumnProfile]) -> ColumnProfile:
    """One column, judged by the first rows of several files."""
    first = columns[0]
    if len(columns) == 1:
        return first
    return ColumnProfile(
        first.name,
        tuple(value for column in columns for value in column.values),
        tuple(dict.fromkeys(text for column in columns for text in column.missing)),
        first.is_time,
        None if first.lengths is None else tuple(length for column in columns for length in column.lengths or ()),
        first.unusable,
        tuple(cell for column in columns for cell in column.cells),
    )
