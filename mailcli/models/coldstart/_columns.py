"""Where the ids of a field are: in a batch, and in the rows of the shared table that `Features` hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models.features import Spec, Tensor


class Column(NamedTuple):
    """A field of users or items, and where its ids are."""

    vocabulary: str
    values: int
    """How many columns it has."""
    first: int
    """Its first column among those of its group in a batch."""
    first_of_rows: int
    """Its first column in `Features.table_rows`."""
    first_row: int
    """The first row of its vocabulary in the shared table."""

    def from_group(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Its ids [n, values] of all ids of its group [n, columns]."""
        return ids[:, self.first : self.first + self.values].astype(np.int64)

    def from_table_rows(self, table_rows: Tensor) -> Tensor:
        """Its ids [B, values] from `Features.table_rows` [B, n]; 0, as in a batch, where there is no value."""
        rows = table_rows[:, self.first_of_rows : self.first_of_rows + self.values]
        return tf.maximum(rows - self.first_row, 0)


def other_attributes(spec: Spec) -> list[Column]:
    """The columns of the attributes but the user id."""
    return [column for column in columns_of(spec, "attributes").values() if column.vocabulary != spec.schema.user]


def target_of_steps(spec: Spec) -> Column:
    """The target's column that has the vocabulary of a behavior step's first field."""
    return next(column for column in columns_of(spec, "target").values() if column.vocabulary == spec.step_vocabulary)


def group_keys(columns: Sequence[Column], ids: NDArray[np.int32]) -> NDArray[np.int64]:
    """[n, F], the ids of some columns of all ids of their group [n, columns]."""
    return np.concatenate([column.from_group(ids) for column in columns], axis=1)


def columns_of(spec: Spec, group: Literal["attributes", "target"]) -> dict[str, Column]:
    """The columns of the fields of users or items, by name."""
    schema, first_rows = spec.schema, spec.first_row
    columns_before = 0
    if group == "target":
        columns_before = sum(field.values for field in schema.group("attributes")) + len(schema.group("context"))
    columns, first = {}, 0
    for field in schema.group(group):
        columns[field.name] = Column(
            field.vocabulary, field.values, first, columns_before + first, first_rows[field.vocabulary]
        )
        first += field.values
    return columns
