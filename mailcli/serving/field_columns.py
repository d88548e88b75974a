"""The columns of attributes and contexts in an impression file: raw values -> ids, as in preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.data.derivations import Derivation
from mailcli.data.schema import FIRST_ID, Field
from mailcli.serving.dataset_lookup import ValueLookup
from mailcli.serving.score_counts import Unknown, unknown_in
from mailcli.serving.value_checks import RequiredColumn, as_texts


class ValueCounter(Protocol):
    """Sees the values of a column."""

    def add(self, field: FieldColumn, raw: pa.Array, ids: FieldIds, time: NDArray[np.int64]) -> None:
        """See some values as read and as looked up, with the times of their impressions."""


class FieldIds(NamedTuple):
    """The ids of a column, and which of its values the vocabulary lacks."""

    ids: NDArray[np.int32]
    is_unknown: NDArray[np.bool_]
    """Whether there is a value, but not in the vocabulary."""
    values: pa.Array
    """What was looked up: numbers of buckets, computed hours."""
    shown: pa.Array
    """The same for people: numbers before they were cut, computed hours."""

    def filter(self, mask: NDArray[np.bool_]) -> FieldIds:
        """The rows with a mask."""
        rows = pa.array(mask)
        return FieldIds(self.ids[mask], self.is_unknown[mask], self.values.filter(rows), self.shown.filter(rows))


class ColumnsIds(NamedTuple):
    """The ids of several columns."""

    ids: NDArray[np.int32]
    """[rows, columns]"""
    unknown: Unknown


class FieldColumn:
    """The column of a field.

    Args:
        field: the field.
        vocabulary: finds its values.
        derivation: how they are made from raw ones.
    """

    def __init__(self, field: Field, vocabulary: ValueLookup, derivation: Derivation) -> None:
        self.name, self.derivation = field.name, derivation
        self._vocabulary = vocabulary
        self.examples = vocabulary.examples
        self.required = RequiredColumn(
            field.name,
            vocabulary.is_text,
            optional=True,
            may_be_fractions=bool(derivation.edges),
            missing=derivation.missing,
        )

    def ids(self, raw: pa.Array, time: NDArray[np.int64]) -> FieldIds:
        """The ids of raw values.

        Args:
            raw: of the column's type, null where a value is missing; those of hours and weekdays are not used.
            time: the impressions' times, from which hours and weekdays are computed.
        """
        shown = pa.array(self.derivation.of_time(time)) if self.derivation.clock else raw
        values = buckets(shown, self.derivation.edges) if self.derivation.edges else shown
        positions = self._vocabulary(values)
        is_unknown = (positions < 0) & values.is_valid().to_numpy(zero_copy_only=False)
        # A value that is not in the vocabulary has position -1, and FIRST_ID - 1 is UNKNOWN.
        return FieldIds((positions + FIRST_ID).astype(np.int32), is_unknown, values, shown)


def look_up(
    fields: list[FieldColumn],
    piece: pa.RecordBatch,
    cast: Callable[[RequiredColumn], pa.Array],
    time: NDArray[np.int64],
    is_used: NDArray[np.bool_],
    counter: ValueCounter,
) -> ColumnsIds:
    """The ids of some fields in rows of a file.

    Args:
        fields: only hours and weekdays may be missing from the file.
        piece: the rows.
        cast: reads a column of them.
        time: [rows], of the impressions.
        is_used: [rows], whether the row's values are used; only those are counted.
        counter: sees the values that are used.
    """
    ids = np.empty((len(piece), len(fields)), np.int32)
    unknown = {}
    for number, field in enumerate(fields):
        if field.derivation.clock:
            column = piece.column(field.name) if field.name in piece.schema.names else pa.nulls(len(piece))
            raw = as_texts(column, field.required)
        else:
            raw = cast(field.required)
        read = field.ids(raw, time)
        ids[:, number] = read.ids
        unknown[field.name] = read.is_unknown & is_used, read.shown
        counter.add(field, raw.filter(pa.array(is_used)), read.filter(is_used), time[is_used])
    return ColumnsIds(ids, unknown_in(unknown))


def buckets(numbers: pa.Array, edges: tuple[float, ...]) -> pa.Array:
    """The number of each number's bucket, as int64: how many edges it reaches. Null stays null."""
    is_missing = numbers.is_null().to_numpy(zero_copy_only=False)
    reached = np.searchsorted(np.array(edges), numbers.fill_null(0.0).to_numpy(), side="right")
    return pa.array(reached.astype(np.int64), mask=is_missing)
