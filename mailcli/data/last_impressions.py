"""The last impression of each user."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def last_impressions(rows: NDArray[np.int64], users: NDArray[Any]) -> NDArray[np.int64]:
    """The last of some rows of each user who has any, by user: a dataset's impressions are ordered by time within one.

    Args:
        rows: [M], ascending.
        users: [M], the user of each.
    """
    # `unique` gives the first place of each in the reversed order.
    return rows[len(rows) - 1 - np.unique(users[::-1], return_index=True)[1]]
