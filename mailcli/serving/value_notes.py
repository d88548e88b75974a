"""What is suspicious about the values of impressions, although none of them is a fault."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.errors import shorten
from mailcli.serving.faults import printable
from mailcli.serving.field_columns import FieldColumn, FieldIds

logger = logging.getLogger(__name__)


class _Column:
    """What was counted in one column."""

    def __init__(self) -> None:
        self.values = self.unknown = self.other_clock = 0
        """Values that are not missing; of them, unknown ones and clocks that differ from the time."""
        self.unknown_example = self.clock_example = ""
        self.may_be_buckets = True
        """Whether all values could be numbers of buckets."""
        self.other_buckets = 0
        """Values that differ from the number of their bucket."""


class ValueNotes:
    """Collects what is suspicious about the columns of a file or DataFrame, for one line about each."""

    def __init__(self, label: Path | str) -> None:
        self._label = label
        self._latest = -1
        self._columns: dict[FieldColumn, _Column] = {}

    def add(self, field: FieldColumn, raw: pa.Array, ids: FieldIds, time: NDArray[np.int64]) -> None:
        """Add some values of a column, as read and as looked up, with the times of their impressions."""
        column = self._columns.setdefault(field, _Column())
        column.values += len(raw) - raw.null_count
        unknown = np.flatnonzero(ids.is_unknown)
        column.unknown += len(unknown)
        if len(unknown) and not column.unknown_example:
            column.unknown_example = shorten(ids.shown[unknown[0]].as_py())
        if field.derivation.clock:
            _add_clock(column, raw, field.derivation.of_time(time))
        if field.derivation.edges:
            is_whole = pc.and_(pc.equal(pc.floor(raw), raw), pc.greater_equal(raw, 0.0))
            is_bucket = pc.and_(is_whole, pc.less_equal(raw, float(len(field.derivation.edges))))
            column.may_be_buckets &= pc.all(is_bucket, min_count=0).as_py()
            differs = pc.not_equal(raw, ids.values.cast(pa.float64()))
            column.other_buckets += pc.sum(differs).as_py() or 0

    def add_times(self, time: NDArray[np.int64]) -> None:
        """Add the times of some impressions."""
        self._latest = max(self._latest, int(time.max(initial=-1)))

    def log_times(self, first_behavior: int) -> None:
        """One line if no impression is later than the dataset's first behavior, so that none has a history."""
        if self._latest <= first_behavior:
            logger.warning(
                f"{self._label}: column 'time': the latest is {self._latest}, and the dataset's first behavior is at "
                f"{first_behavior}, so no impression has a history. Times are in seconds since 1970."
            )

    def log(self, fields: list[FieldColumn]) -> None:
        """One line for each suspicious column."""
        for field in fields:
            column = self._columns.get(field, _Column())
            name = f"{self._label}: column '{printable(field.name)}'"
            if column.other_clock:
                logger.warning(
                    f"{name}: {column.other_clock:,} of {column.values:,} values differ from the {field.name} of "
                    f"'time' as training computed it, for example {column.clock_example}. The column is not used: the "
                    f"{field.name} is computed from 'time'."
                )
            if column.other_buckets and column.may_be_buckets:
                logger.warning(
                    f"{name}: all {column.values:,} values could be numbers of buckets, but are read as raw numbers, "
                    f"to be cut at {field.derivation.edges_text}. Give the numbers that the raw files have."
                )
            elif column.unknown and column.unknown == column.values and not field.derivation.clock:
                logger.warning(
                    f"{name}: none of the {column.values:,} values occurs in the training split, for example "
                    f"{column.unknown_example}, so they all count as unknown. {_known_values(field)}"
                )


def _known_values(field: FieldColumn) -> str:
    """What the training split has of a column, as a sentence: edges of buckets, or a few values."""
    if field.derivation.edges:
        return f"Numbers are cut at {field.derivation.edges_text}, and that split has none of their bucket."
    return f"That split has {', '.join(map(shorten, field.examples)) or 'no values'}, for example."


def _add_clock(column: _Column, raw: pa.Array, expected: NDArray[np.int64]) -> None:
    differs = pc.not_equal(raw, pa.array(expected).cast(pa.string())).fill_null(False)
    rows = pc.indices_nonzero(differs)
    column.other_clock += len(rows)
    if len(rows) and not column.clock_example:
        row = rows[0].as_py()
        text = raw[row].as_py()
        column.clock_example = f"{text if text.isdecimal() else shorten(text)} instead of {expected[row]}"
