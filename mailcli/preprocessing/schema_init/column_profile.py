"""What one column may hold, by its values in the first rows: ids, numbers, truth values, times, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

_CLOCKS = (" %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %H:%M", "T%H:%M")
#: Forms of times that are recognized; of several that fit, the first is taken.
TIME_FORMATS = (
    *(f"%Y-%m-%d{clock}{zone}" for clock in _CLOCKS for zone in ("", "Z", "%z", " %z", " UTC")),
    *(
        f"{day}{clock}"
        for day in ("%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
        for clock in (" %H:%M:%S", " %H:%M", "")
    ),
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%Y-%m-%d", "%Y%m%d%H%M%S", "%Y%m%d",
)  # fmt: skip
#: Digits of forms that are nothing else; strptime would take other numbers for such times.
_DIGITS = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14}
#: Texts that stand for missing values in files of many makers.
MISSING = ("NULL", "null", "NA", "N/A", "NaN", "nan", "None", "UNKNOWN", "\\N", "?")
#: Separators inside a field that make it a list, and the share of the values that must have one (ours).
LIST_SEPARATORS, LIST_SHARE = ("|", ";", ","), 0.2
#: Units of numbers that are times, and the least of each (ours: 1973); from `TOO_LARGE` on a number is none.
UNITS_LEAST, TOO_LARGE = (("us", 1e14), ("ms", 1e11), ("s", 1e8)), 1e17
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"-?\d+(?:\.\d{3})*,(\d+)")


@dataclass(frozen=True)
class Profile:
    """One column by the values of the first rows."""

    name: str
    values: tuple[str, ...]
    """Without missing ones; of Parquet's times the seconds since 1970."""
    missing: tuple[str, ...] = ()
    """Texts that seem to stand for missing values."""
    is_time: bool = False
    """A time or date of Parquet."""
    lengths: tuple[int, ...] | None = None
    """How many values each list of Parquet has; None where the column holds no lists."""
    unfit: str = ""
    """What a column of Parquet holds that neither an id nor a field can be made of."""

    @property
    def single(self) -> bool:
        """Whether a row holds one value, which may be an id or a label."""
        return self.lengths is None and not self.unfit

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.values))

    @property
    def unique(self) -> bool:
        """Whether no value is there twice."""
        return self.distinct == len(self.values)

    @cached_property
    def whole(self) -> bool:
        """Whether all values are plain whole numbers."""
        return bool(self.values) and all(_INTEGER.fullmatch(value) for value in self.values)

    @cached_property
    def number(self) -> bool:
        """Whether all values are numbers."""
        return bool(self.values) and all(
            _NUMBER.fullmatch(value) and math.isfinite(float(value)) for value in self.values
        )

    @cached_property
    def binary(self) -> bool:
        """Whether all values are 0 or 1, or all are true or false."""
        if not self.values:
            return False
        if self.number:
            return {float(value) for value in self.values} <= {0.0, 1.0}
        return {value.lower() for value in self.values} <= {"true", "false"}

    @cached_property
    def decimal_comma(self) -> bool:
        """Whether all values are numbers with a comma for a point, and as many digits behind it, as prices have."""
        found = [_DECIMAL_COMMA.fullmatch(value) for value in self.values]
        digits = {len(each[1]) if each else 0 for each in found}
        return len(digits) == 1 and digits != {0}

    @cached_property
    def list_separator(self) -> str:
        """What separates the values of a list; empty where the column holds none."""
        for each in LIST_SEPARATORS:
            having = [value for value in self.values if each in value]
            # A title has blanks after its commas, an interval such as "(0,10]" has brackets.
            if len(having) > LIST_SHARE * len(self.values) and not any(
                f"{each} " in value or value[0] in "([" for value in having
            ):
                return "" if each == "," and self.decimal_comma else each
        return ""

    @property
    def most(self) -> int:
        """The most values of a list, each counted once."""
        if self.lengths is not None:
            return max(self.lengths, default=0)
        separator = self.list_separator
        lists = ({part.strip() for part in value.split(separator)} - {""} for value in self.values)
        return max((len(each) for each in lists), default=0) if separator else 1

    @cached_property
    def time_formats(self) -> tuple[str, ...]:
        """The forms in which all values may be times that are written as texts."""
        texts = set(self.values)
        if not texts or not all(re.search(r"\d", text) for text in texts):
            return ()
        return tuple(form for form in TIME_FORMATS if all(_is_time(text, form) for text in texts))

    @property
    def unit(self) -> str:
        """What a number counts since 1970, by its size; empty where it may be no such time."""
        greatest = max(map(float, self.values)) if self.number else 0.0
        return next((unit for unit, least in UNITS_LEAST if least <= greatest < TOO_LARGE), "")


def _is_time(text: str, form: str) -> bool:
    # A `Z` is an offset to Python and none to DuckDB.
    if ("%z" in form and text.endswith("Z")) or len(text) != _DIGITS.get(form, len(text)):
        return False
    try:
        year = datetime.strptime(text, form).year
    except ValueError:
        return False
    return form not in _DIGITS or 1900 <= year <= 2100


def merged(columns: Sequence[Profile]) -> Profile:
    """One column by the first rows of several files."""
    first = columns[0]
    return Profile(
        first.name,
        tuple(value for column in columns for value in column.values),
        tuple(dict.fromkeys(text for column in columns for text in column.missing)),
        first.is_time,
        None if first.lengths is None else tuple(length for column in columns for length in column.lengths or ()),
        first.unfit,
    )
