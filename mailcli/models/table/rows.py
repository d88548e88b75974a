"""Rows of large variables, some at a time: copying a whole table would need its memory again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models import distribute
from mailcli.models.table.mapped import MappedVariable

#: Bytes that are copied at a time (ours).
PART_BYTES = 1 << 24


def parts(shape: tuple[int, ...], itemsize: int) -> Iterator[NDArray[np.int64]]:
    """The numbers of the rows of an array with at least one axis, in parts of about PART_BYTES each."""
    row_bytes = itemsize
    for size in shape[1:]:
        row_bytes *= size
    step = max(PART_BYTES // max(row_bytes, 1), 1)
    return (np.arange(start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def write_rows(variable: Any, rows: NDArray[np.int64], values: NDArray) -> None:
    """Set rows [U] of a variable to values [U, ...], in each of its copies on the replicas of this worker."""
    if isinstance(variable, MappedVariable):
        variable.write(rows, values)
        return
    for copy in distribute.copies(variable):
        copy.scatter_update(tf.IndexedSlices(tf.convert_to_tensor(values), rows))
