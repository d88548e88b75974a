"""An embedding table larger than memory: all rows in mapped files, the rows in use in TensorFlow variables."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.models.features import Tensor

#: When memory is full, at least this part of it is made free at once (ours: finding the least recently used rows takes
#: a pass over all that are in memory).
FREED_AT_ONCE = 1 / 32


class MappedTable:
    """Which rows of a table are in memory, and where.

    A variable of the model has a slot for each row in memory; its file has all rows. A training step loads the rows of
    its batch that have no slot. When all slots are taken, the least recently used rows are written back. The step
    computes with slots where it would have computed with rows, so its results are the same bit by bit. What only reads
    rows, such as scoring, reads them from the file.

    Args:
        rows: of the table.
        capacity: rows in memory.
        folder: of the files, which have no names and vanish with the process.
    """

    def __init__(self, rows: int, capacity: int, folder: Path) -> None:
        self.rows, self.capacity, self.folder = rows, capacity, folder
        self.variables: list[MappedVariable] = []
        self._slots = np.full(rows, -1, np.int32)
        self._row_of_slot = np.full(capacity, -1, np.int64)
        self._free = np.arange(capacity)
        self._last_use = np.zeros(capacity, np.int64)
        self._is_changed = np.zeros(capacity, bool)
        self._time = 0

    def add(self, resident: Any) -> MappedVariable:
        """Map a variable [capacity, ...] that has a value for each row; its file begins with zeros.

        Raises:
            MailError: the disk is full.
        """
        values = _mapped_file(self.folder, (self.rows, *resident.shape[1:]), np.dtype(str(resident.dtype)))
        self.variables.append(MappedVariable(self, resident, values))
        return self.variables[-1]

    def drop_moments(self) -> None:
        """Unmap all variables but the first, the table: another optimizer has other moments."""
        self.empty()
        del self.variables[1:]

    def whole(self, variables: Iterable[Any]) -> list[Any]:
        """Variables, with the mapped ones in place of those that hold their rows in memory."""
        by_resident = {id(variable.resident): variable for variable in self.variables}
        return [by_resident.get(id(variable), variable) for variable in variables]

    def slots(self, rows: Tensor) -> Tensor:
        """`load` in a graph, which should hold one such operation: a second could take away slots of the first."""
        return tf.ensure_shape(tf.numpy_function(self.load, [rows], tf.int32), rows.shape)

    def load(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """The slots [U] of distinct rows [U], which are about to change; loaded if they are not in memory.

        Raises:
            ValueError: there are more rows than slots.
        """
        self._time += 1
        slots = self._slots[rows]
        is_missing = slots < 0
        self._last_use[slots[~is_missing]] = self._time
        if is_missing.any():
            # In the order of the file.
            self._read(np.sort(rows[is_missing]))
            slots = self._slots[rows]
        self._is_changed[slots] = True
        return slots

    def flush(self) -> None:
        """Write all changed rows to the files."""
        self._write(np.flatnonzero(self._is_changed))

    def empty(self) -> None:
        """Write all changed rows, and keep none in memory: before the files are changed."""
        self.flush()
        self._release(np.flatnonzero(self._row_of_slot >= 0))

    def _read(self, rows: NDArray[np.integer]) -> None:
        if len(rows) > len(self._free):
            self._make_free(len(rows))
        slots, self._free = self._free[: len(rows)], self._free[len(rows) :]
        for variable in self.variables:
            variable.resident.value.scatter_update(tf.IndexedSlices(variable.values[rows], slots))
        self._slots[rows] = slots
        self._row_of_slot[slots] = rows
        self._last_use[slots] = self._time

    def _make_free(self, count: int) -> None:
        """Make at least `count` slots free, none of a row that the present call uses."""
        unused = np.flatnonzero((self._row_of_slot >= 0) & (self._last_use < self._time))
        if len(unused) + len(self._free) < count:
            raise ValueError(f"a batch with more rows than the {self.capacity:,} that fit in --table-memory")
        freed = min(max(count - len(self._free), int(self.capacity * FREED_AT_ONCE)), len(unused))
        oldest = unused[np.argpartition(self._last_use[unused], freed - 1)[:freed]]
        self._write(oldest[self._is_changed[oldest]])
        self._release(oldest)

    def _write(self, slots: NDArray[np.integer]) -> None:
        if not len(slots):
            return
        slots = slots[np.argsort(self._row_of_slot[slots])]
        for variable in self.variables:
            variable.values[self._row_of_slot[slots]] = tf.gather(variable.resident.value, slots).numpy()
        self._is_changed[slots] = False

    def _release(self, slots: NDArray[np.integer]) -> None:
        if not len(slots):
            return
        self._slots[self._row_of_slot[slots]] = -1
        self._row_of_slot[slots] = -1
        self._free = np.concatenate([self._free, slots])


class MappedVariable:
    """A variable with a value for each row of a mapped table.

    Args:
        table: the table.
        resident: the model's variable [capacity, ...], with the rows in memory.
        values: [rows, ...], the file; rows in memory may have newer values.
    """

    def __init__(self, table: MappedTable, resident: Any, values: NDArray) -> None:
        self._table, self.resident, self.values = table, resident, values
        self.shape, self.dtype = values.shape, str(values.dtype)
        self.name, self.path = resident.name, resident.path

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        """All rows, without a copy."""
        self._table.flush()
        return np.array(self.values, dtype, copy=copy)

    def gather(self, rows: Tensor) -> Tensor:
        """Rows [U] of a matrix [rows, d] as [U, d], in graphs as well; without a gradient."""
        values = tf.numpy_function(self.read, [rows], self.dtype)
        return tf.ensure_shape(values, [None, self.shape[1]])

    def read(self, rows: NDArray[np.integer]) -> NDArray:
        """Rows [U] as [U, ...]."""
        self._table.flush()
        return self.values[rows]

    def changeable(self) -> NDArray:
        """The file's rows, to be changed; none is in memory any more."""
        self._table.empty()
        return self.values

    def write(self, rows: NDArray[np.int64], values: NDArray) -> None:
        """Set rows [U] to values [U, ...]."""
        self.changeable()[rows] = values


def _mapped_file(folder: Path, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """An array of zeros in a file without a name (MailError if the disk is full)."""
    size = math.prod(shape) * dtype.itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # A disk that is full is found out now: a page that cannot be written later would kill the process.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise MailError(
            f"{folder}: {size / 1e6:,.0f} MB for a part of the embedding table, which does not fit in memory, "
            f"cannot be reserved ({error.strerror or error}). Free some space, or use another folder."
        ) from error
