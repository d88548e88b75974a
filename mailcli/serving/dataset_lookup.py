"""Raw values -> rows of a dataset, and the history that an impression at a given time may see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.data.texts import is_text

#: Values that an error or a note may name (ours).
_EXAMPLES = 3


class ValueLookup:
    """Finds raw values in a column of distinct ones: a vocabulary, or the raw ids of a table.

    Args:
        values: the column.
    """

    def __init__(self, values: NDArray) -> None:
        self.is_text = is_text(values)
        self._index = pd.Index(values.astype(object) if self.is_text else values.astype(np.int64))
        self.examples: list[str | int] = values[:_EXAMPLES].tolist()
        """The first values."""

    def __call__(self, column: pa.Array) -> NDArray[np.int64]:
        """[rows], the position of each value, -1 for unknown values and nulls; strings or int64, like the values."""
        encoded = column.dictionary_encode()
        known = self._index.get_indexer(pd.Index(encoded.dictionary.to_pylist(), dtype=self._index.dtype))
        positions = np.append(known, -1)
        return positions[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def history_ends(
    b_time: NDArray[np.integer], begin: NDArray[np.integer], end: NDArray[np.integer], time: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The end of the strictly earlier behaviors in slices of sorted ones, by bisection of all slices at once.

    Args:
        b_time: [N], times of behaviors, ascending within each slice; may be memory-mapped.
        begin, end: [M], the slice of each impression's user.
        time: [M], times of the impressions.

    Returns:
        [M], the first position in the slice whose time is not smaller, or `end`.
    """
    low, high = begin.astype(np.int64), end.astype(np.int64)
    while (open_ := np.flatnonzero(low < high)).size:
        middle = (low[open_] + high[open_]) // 2
        earlier = b_time[middle] < time[open_]
        low[open_[earlier]] = middle[earlier] + 1
        high[open_[~earlier]] = middle[~earlier]
    return low
