"""Which behaviors an impression may see: strictly earlier ones, and of these the last n_v."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Bits of the key that sorts histories by user and time (ours): 2^40 seconds are far more than any log covers, and 2^22
#: users more than a bucket has (buckets.USERS_PER_BUCKET). Together they fit into 63 bits.
TIME_BITS, USER_BITS = 40, 22


def history_bounds(
    b_row: NDArray[np.integer],
    b_time: NDArray[np.integer],
    row: NDArray[np.integer],
    time: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each impression's user begins among sorted behaviors, and where the strictly earlier ones end.

    Args:
        b_row, b_time: [N], user row and time of the behaviors, sorted by (row, time).
        row, time: [M], the same of the impressions, in any order.

    Returns:
        (begin, end), [M] each: begin:end are the behaviors of the same user at an earlier time.
    """
    begin = np.searchsorted(b_row, row, side="left")
    if not len(b_row):
        return begin, begin
    low = min(b_time.min(), time.min())
    span = max(b_time.max(), time.max()) - low + 1
    first = min(b_row.min(), row.min())
    if span > 2**TIME_BITS or max(b_row.max(), row.max()) > 2**USER_BITS + first:
        raise OverflowError(f"{span} seconds and the users of a bucket do not fit into one 64-bit key")
    key = (b_row.astype(np.int64) - first) * span + (b_time - low)
    return begin, np.searchsorted(key, (row.astype(np.int64) - first) * span + (time - low), side="left")


def visible(begin: NDArray[np.int64], end: NDArray[np.int64], count: int, history: int) -> NDArray[np.bool_]:
    """[count], true for behaviors among the last `history` before some impression's `end`."""
    start = np.maximum(begin, end - history)
    change = np.bincount(start, minlength=count + 1) - np.bincount(end, minlength=count + 1)
    return np.cumsum(change[:count]) > 0
