"""A truncated singular value decomposition that also accepts all-zero matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, svds

#: What ARPACK says of a matrix of zeros.
_ZERO = "Starting vector is zero"

Array = NDArray[np.float64]


def truncated_svd(matrix: Any, rank: int, **start: Any) -> tuple[Array, Array, Array]:
    """[m, k], [k] and [k, n]: the k largest singular values of a sparse matrix [m, n] or linear operator, ascending.

    As `scipy.sparse.linalg.svds`, which fails on a matrix of zeros: all three are then zeros.

    Args:
        matrix: to decompose.
        rank: k, below m and n.
        start: what ARPACK's starting vector is drawn from, `rng` or `random_state`.
    """
    left: Array
    values: Any
    right: Array
    try:
        left, values, right = svds(matrix, k=rank, **start)
    except ArpackError as error:
        if _ZERO not in str(error):
            raise
        rows, columns = matrix.shape
        return np.zeros((rows, rank)), np.zeros(rank), np.zeros((rank, columns))
    return left, values, right
