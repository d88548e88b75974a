"""Rows of large variables, some at a time: copying a whole table would need its memory again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models import distribute
from mailcli.models.table.mapped import MappedVariable

#: Bytes that are copied at a time (ours).
PART_BYTES = 1 << 24


def parts(shape: tuple[int, ...], itemsize: int) -> Iterator[NDArray[np.int64]]:
    """The numbers of the rows of an array with at least one axis, in parts of about PART_BYTES each; at least one."""
    row_bytes = itemsize * math.prod(shape[1:])
    step = max(PART_BYTES // max(row_bytes, 1), 1)
    return (np.arange(start, min(start + step, shape[0])) for start in range(0, max(shape[0], 1), step))


def read_parts(variable: Any) -> Iterator[NDArray]:
    """The rows of a variable in parts; without axes, all of it.

    They are gathered: TensorFlow copies a whole variable that is read in another way.
    """
    shape, itemsize = tuple(variable.shape), np.dtype(str(variable.dtype)).itemsize
    if itemsize * math.prod(shape) <= PART_BYTES:
        return iter([np.asarray(variable)])
    return (_read_rows(variable, rows) for rows in parts(shape, itemsize))


def _read_rows(variable: Any, rows: NDArray[np.int64]) -> NDArray:
    if isinstance(variable, MappedVariable):
        return variable.read(rows)
    values: NDArray = tf.gather(distribute.copies(variable)[0], rows).numpy()
    return values


def write_parts(variable: Any, values: Iterable[NDArray], positions: NDArray[np.int64] | None = None) -> None:
    """Set a variable to values that come in parts, as `read_parts` has them.

    Args:
        variable: of Keras, or a MappedVariable.
        values: the parts, in order.
        positions: the row of the variable for each row of the values; None for the same, of a variable of their shape.
    """
    start = 0
    for part in values:
        if positions is None and part.shape == tuple(variable.shape) and not isinstance(variable, MappedVariable):
            variable.assign(part)
            continue
        rows = np.arange(start, start + len(part))
        write_rows(variable, rows if positions is None else positions[rows], part)
        start += len(part)


def write_rows(variable: Any, rows: NDArray[np.int64], values: NDArray) -> None:
    """Set rows [U] of a variable to values [U, ...], in each of its copies on the replicas of this worker."""
    if isinstance(variable, MappedVariable):
        variable.write(rows, values)
        return
    for copy in distribute.copies(variable):
        copy.scatter_update(tf.IndexedSlices(tf.convert_to_tensor(values), rows))
