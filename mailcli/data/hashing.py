"""A hash of the user's raw id, which orders the dataset and draws new users; the same on every machine and engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: 2⁶⁴ / golden ratio, the usual odd increment that spreads small salts over all bits (SplitMix64).
_STEP = 0x9E3779B97F4A7C15


def hash_users(raw: NDArray, salt: int) -> NDArray[np.uint64]:
    """A uniform 64-bit number for each raw id (integer or string); different salts give independent numbers.

    Args:
        raw: [users], the raw ids.
        salt: any integer.
    """
    # Only here: pandas takes half a second to import, and most code that reads runs draws nobody.
    from pandas.util import hash_array

    values = np.asarray(raw)
    base = hash_array(values.astype(object) if values.dtype.kind in "USO" else values.astype(np.int64))
    mixed = np.uint64((salt + 1) * _STEP % 2**64)
    return hash_array(base ^ mixed)


def share_of_users(raw: NDArray, share: float, salt: int) -> NDArray[np.bool_]:
    """[users], true for a share of the users, drawn by the hash of raw id and salt."""
    return hash_users(raw, salt) / 2.0**64 < share
