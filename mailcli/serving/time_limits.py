"""Which times a request or an impression may have: those of the log's unit, not milliseconds or days."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from mailcli.data.dataset import Dataset
from mailcli.data.derivations import DAY
from mailcli.preprocessing.schema_file.definition import TIME_LIMIT

#: How many times earlier or later than the log a time may be (ours: units that are confused differ by 60 or more, and
#: 30 is in the middle, on a logarithmic scale, between a second and a millisecond).
_FACTOR = 30
#: How much later than the log a time may be in any case, in seconds (ours: a year, for logs whose times begin at 0).
_YEAR = 365 * DAY


class TimeLimits(NamedTuple):
    """Times in seconds since 1970."""

    first: int
    """The earliest of the log."""
    last: int
    """The latest of the log."""
    earliest: int
    """The earliest that is allowed."""
    latest: int
    """The latest that is allowed."""

    @property
    def expected(self) -> str:
        """What was expected of a time, for an error text."""
        return (
            f"seconds since 1970, from {self.earliest} to {self.latest}: the log's times are from {self.first} "
            f"({_date(self.first)}) to {self.last} ({_date(self.last)}). Divide milliseconds by 1000."
        )


def time_limits(dataset: Dataset) -> TimeLimits | None:
    """The limits that follow from a dataset's times; None if its impressions have no times."""
    behaviors, impressions = dataset.column("behaviors", "time"), dataset.column("test", "time")
    last = int(impressions.max())
    if last == 0:
        # Preprocessing writes 0 where the raw files have no time.
        return None
    first, first_behavior = int(impressions.min()), int(behaviors.min())
    # The steps of a list have no times, but negative numbers.
    if first_behavior >= 0:
        first = min(first, first_behavior)
    last = max(int(behaviors.max()), last)
    return TimeLimits(first, last, first // _FACTOR, min(max(_FACTOR * last, last + _YEAR), TIME_LIMIT - 1))


def _date(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()
