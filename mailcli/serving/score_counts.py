"""How many impressions were scored, and what was unknown about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.errors import shorten


class UnknownColumn(NamedTuple):
    """The values of a column that the dataset or the training split lacks."""

    number: int
    example: str
    """One of them, as an error text quotes it."""


class Unknown(NamedTuple):
    """The unknown values of some columns."""

    rows: int
    """Rows with at least one."""
    columns: Mapping[str, UnknownColumn]
    """By name; only columns that have some."""

    def plus(self, other: Unknown) -> Unknown:
        """The unknown values of both."""
        columns = dict(self.columns)
        for name, column in other.columns.items():
            number, example = columns.get(name, UnknownColumn(0, column.example))
            columns[name] = UnknownColumn(number + column.number, example)
        return Unknown(self.rows + other.rows, columns)

    @property
    def by_column(self) -> str:
        """` (city 2, for example 'Bonn'; age 1, for example 7)`; empty if there is none."""
        texts = [f"{name} {column.number:,}, for example {column.example}" for name, column in self.columns.items()]
        return f" ({'; '.join(texts)})" if texts else ""

    @property
    def example(self) -> str:
        """` (for example 'Bonn')`, of a single column; empty if there is none."""
        return "".join(f" (for example {column.example})" for column in self.columns.values())


NOTHING_UNKNOWN = Unknown(0, {})


def unknown_in(columns: Mapping[str, tuple[NDArray[np.bool_], pa.Array]]) -> Unknown:
    """The unknown values of columns.

    Args:
        columns: by name: which rows are unknown, and the values.
    """
    counted = {}
    is_unknown_row: NDArray[np.bool_] = np.zeros(1, bool)
    for name, (is_unknown, values) in columns.items():
        is_unknown_row = is_unknown_row | is_unknown
        rows = np.flatnonzero(is_unknown)
        if len(rows):
            counted[name] = UnknownColumn(len(rows), shorten(values[int(rows[0])].as_py()))
    return Unknown(int(is_unknown_row.sum()), counted)


class Counts(NamedTuple):
    """How many impressions were scored, and of whom."""

    impressions: int
    new: int
    """Of users without behaviors: in the raw data, by the protocol, or because the dataset does not have the user."""
    users: Unknown
    """Users who are not in the dataset."""
    items: Unknown
    """Items that are not in the dataset."""
    attributes: Unknown
    """Attributes of such users that are given, but do not occur in the training split."""
    contexts: Unknown
    """Context values that are given, but do not occur in the training split."""

    @property
    def has_unknown_values(self) -> bool:
        """Whether an attribute or context value is unknown; unknown users and items are what cold start is about."""
        return self.attributes.rows + self.contexts.rows > 0

    def plus(self, other: Counts) -> Counts:
        """The counts of both."""
        mine, theirs = self[2:], other[2:]
        return Counts(
            self.impressions + other.impressions,
            self.new + other.new,
            *(unknown.plus(more) for unknown, more in zip(mine, theirs, strict=True)),
        )

    def text(self) -> str:
        """One line for people, without a full stop."""
        users, items, attributes, contexts = self.users, self.items, self.attributes, self.contexts
        return (
            f"{self.impressions:,} impressions; {self.new:,} without history, {users.rows:,} with an unknown "
            f"user{users.example}, {items.rows:,} with an unknown item{items.example}, {attributes.rows:,} with an "
            f"unknown attribute{attributes.by_column}, {contexts.rows:,} with an unknown context "
            f"value{contexts.by_column}"
        )


#: Before the first impression.
NO_COUNTS = Counts(0, 0, *[NOTHING_UNKNOWN] * 4)
