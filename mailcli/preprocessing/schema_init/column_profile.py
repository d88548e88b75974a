"""What one column seems to hold, judged by its first rows: ids, numbers, Booleans, times, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mailcli.preprocessing.schema_file.definition import UNITS

_CLOCKS = (
    " %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %H:%M:%S.%n", "T%H:%M:%S.%n", " %H:%M", "T%H:%M",
)  # fmt: skip
#: Time formats that are recognized; the first that fits is used.
TIME_FORMATS = (
    *(f"%Y-%m-%d{clock}{zone}" for clock in _CLOCKS for zone in ("", "Z", "%z", " %z", " UTC")),
    *(
        f"{day}{clock}"
        for day in ("%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
        for clock in (" %H:%M:%S", " %H:%M", "")
    ),
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%Y-%m-%d", "%Y%m%d%H%M%S", "%Y%m%d",
)  # fmt: skip
#: Characters of the shortest text in any of them, such as 1/1/2000: most columns are not tried.
_SHORTEST_TIME = 8
#: Lengths of formats made of digits only; strptime would also accept other numbers.
_DIGITS = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14}
#: Common ways to write a missing value.
MISSING = ("NULL", "null", "NA", "N/A", "NaN", "nan", "None", "UNKNOWN", "\\N", "?")
#: Separators that make a value a list, and the share of values that must contain one (ours).
LIST_SEPARATORS, LIST_SHARE = ("|", ";", ","), 0.2
#: Units of numeric times, and the smallest number in each (ours: 1973); a number from TIME_LIMIT on is not a time.
SMALLEST_TIMES, TIME_LIMIT = (("ns", 1e17), ("us", 1e14), ("ms", 1e11), ("s", 1e8)), 1e19
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d{1,3}(?!\d)")
#: Names of columns that are likely to be times, and the seconds in which times of logs are (ours: 2000 to 2040).
_TIME_NAME, _LIKELY_SECONDS = re.compile("time|date|day|stamp"), (946_684_800, 2_208_988_800)
#: Also as a float; of a longer one, `.0` may hide another number.
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})|-?(0|[1-9]\d{0,14})\.0+")
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"-?\d+(?:\.\d{3})*,(\d+)")


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
        texts = set(self.values)
        if not texts or not all(len(text) >= _SHORTEST_TIME and re.search(r"\d", text) for text in texts):
            return ()
        formats = [time_format for time_format in TIME_FORMATS if all(_is_time(text, time_format) for text in texts)]
        # %n reads whatever %f reads.
        return tuple(form for form in formats if "%n" not in form or form.replace("%n", "%f") not in formats)

    @property
    def unit(self) -> str:
        """The unit of numbers that may count the time since 1970, by their size; empty if they do not."""
        largest = max(map(float, self.values)) if self.is_number else 0.0
        return next((unit for unit, smallest in SMALLEST_TIMES if smallest <= largest < TIME_LIMIT), "")


def times_by_values(columns: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    """The columns whose values are times, whatever they are called: the likeliest first."""
    times = [column for column in columns if column.is_single and _holds_times(column)]
    return sorted(times, key=lambda column: not _TIME_NAME.search(column.name.lower()))


def _holds_times(column: ColumnProfile) -> bool:
    """Whether the values can hardly be anything else: texts of times, or numbers in a few decades of one unit."""
    if column.is_time:
        return True
    if column.unit and all(map(str.isdecimal, column.values)):
        # Ids are numbers as well.
        low, high = (bound * UNITS[column.unit] for bound in _LIKELY_SECONDS)
        return not column.name.lower().endswith("id") and all(low <= int(value) < high for value in column.values)
    formats = column.time_formats
    return bool(formats) and (not column.is_whole or bool(_TIME_NAME.search(column.name.lower())))


def _is_time(text: str, time_format: str) -> bool:
    # Python accepts `Z` as an offset, DuckDB does not.
    if ("%z" in time_format and text.endswith("Z")) or len(text) != _DIGITS.get(time_format, len(text)):
        return False
    if "%n" in time_format:  # unknown to Python: nine digits where its %f has six
        text, time_format = _BEYOND_MICROSECONDS.sub(r"\1", text), time_format.replace("%n", "%f")
    try:
        year = datetime.strptime(text, time_format).year
    except ValueError:
        return False
    return time_format not in _DIGITS or 1900 <= year <= 2100


def merge_profiles(columns: Sequence[ColumnProfile]) -> ColumnProfile:
    """One column, judged by the first rows of several files."""
    first = columns[0]
    return ColumnProfile(
        first.name,
        tuple(value for column in columns for value in column.values),
        tuple(dict.fromkeys(text for column in columns for text in column.missing)),
        first.is_time,
        None if first.lengths is None else tuple(length for column in columns for length in column.lengths or ()),
        first.unusable,
    )
