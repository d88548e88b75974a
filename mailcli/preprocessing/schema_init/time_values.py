"""Times by their values: texts of common forms, and numbers that count the time since 1970."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from mailcli.preprocessing.schema_file.definition import UNITS

_CLOCKS = (
    " %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %H:%M:%S.%n", "T%H:%M:%S.%n", " %H:%M", "T%H:%M",
)  # fmt: skip
_SHORT_CLOCKS = (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "")
#: Time formats that are recognized; the first that fits is used.
TIME_FORMATS = (
    *(f"%Y-%m-%d{clock}{zone}" for clock in _CLOCKS for zone in ("", "Z", "%z", " %z", " UTC")),
    *(
        f"{day}{clock}"
        for day in (
            "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d/%m/%y", "%m/%d/%y",
            "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y",
        )
        for clock in _SHORT_CLOCKS
    ),
    "%Y-%m-%d %H", "%Y-%m-%d", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%d", "%y%m%d%H",
    # Of web servers, of C and e-mail, and of Twitter.
    "%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %z %Y",
)  # fmt: skip
#: Lengths of the shortest and the longest text in any of them: most columns are not tried.
_SHORTEST, _LONGEST = len("1/1/00"), len("September 30, 2000 10:00:00 PM +00:00") + 10
#: Lengths of formats made of digits only; strptime would also accept other numbers.
_DIGITS = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14, "%y%m%d%H": 8}
#: How many times shorter the span of times is in the right one of two formats, at least (ours).
_MUCH = 2
#: Years of times that are written in digits only, or with two digits of the year (ours).
_YEARS = (1900, 2100)
#: Units of numeric times, and the smallest number in each (ours: 1973).
SMALLEST_TIMES = (("ns", 1e17), ("us", 1e14), ("ms", 1e11), ("s", 1e8))
#: A number from here on is not a time (ours: more nanoseconds than 64 bits hold).
LARGEST_TIME_NUMBER = 1e19
#: Seconds in which times of logs are (ours: 1995, two years before MovieLens begins, to 2040).
LIKELY_SECONDS = (788_918_400, 2_208_988_800)
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d{1,3}(?!\d)")
_FRACTION = re.compile(r"(\.\d+)?Z?$")
#: The part of a text of such a time that is before the fraction of its second.
WHOLE_SECONDS = "^([^.Z]*)"
_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?")


def time_formats(texts: Collection[str]) -> tuple[str, ...]:
    """The formats in which all of some distinct texts may be times."""
    if not texts or not all(_SHORTEST <= len(text) <= _LONGEST and re.search(r"\d", text) for text in texts):
        return ()
    formats = [time_format for time_format in TIME_FORMATS if all(_is_time(text, time_format) for text in texts)]
    # %n reads whatever %f reads.
    formats = [form for form in formats if "%n" not in form or form.replace("%n", "%f") not in formats]
    return tuple(formats if len(formats) < 2 else _shortest_span_first(formats, texts))


def _shortest_span_first(formats: Sequence[str], texts: Collection[str]) -> list[str]:
    """The first format first, unless the times are within a much shorter span in another one.

    05/01/2023 to 05/08/2023 are eight days in a row, and not a day in each of eight months.
    """
    spans = {}
    for time_format in formats:
        moments = [_moment(text, time_format) for text in texts]
        spans[time_format] = max(moments) - min(moments)
    shortest = min(formats, key=lambda time_format: spans[time_format])
    if _MUCH * spans[shortest] >= spans[formats[0]]:
        return list(formats)
    return [shortest, *(time_format for time_format in formats if time_format != shortest)]


def is_time_of_day(texts: Collection[str]) -> bool:
    """Whether all texts are times of a day, such as 22:13:20."""
    return bool(texts) and all(map(_CLOCK.fullmatch, texts))


def formats_of_whole_seconds(texts: Collection[str]) -> tuple[str, ...]:
    """The formats of WHOLE_SECONDS of times of which some have a fraction of a second, and some have none."""
    whole = {_FRACTION.sub("", text) for text in texts}
    return () if len({"." in text for text in texts}) < 2 else time_formats(whole)


def largest_unit(largest: float) -> str:
    """The unit of numbers that may count the time since 1970, by the largest; empty if they do not."""
    return next((unit for unit, smallest in SMALLEST_TIMES if smallest <= largest < LARGEST_TIME_NUMBER), "")


def are_likely(numbers: Collection[float], unit: str) -> bool:
    """Whether all numbers are times of a log in a unit."""
    low, high = (bound * UNITS[unit] for bound in LIKELY_SECONDS)
    return all(low <= number < high for number in numbers)


def _is_time(text: str, time_format: str) -> bool:
    # Python accepts `Z` as an offset, DuckDB does not.
    if ("%z" in time_format and text.endswith("Z")) or len(text) != _DIGITS.get(time_format, len(text)):
        return False
    try:
        year = _moment(text, time_format).year
    except ValueError:
        return False
    return time_format not in _DIGITS or _YEARS[0] <= year <= _YEARS[1]


def _moment(text: str, time_format: str) -> datetime:
    if "%n" in time_format:  # unknown to Python: nine digits where its %f has six
        text, time_format = _BEYOND_MICROSECONDS.sub(r"\1", text), time_format.replace("%n", "%f")
    return datetime.strptime(text, time_format)
