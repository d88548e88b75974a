"""Correspondence analysis of who did what (Benzécri, 1973; Greenacre, *Correspondence Analysis in Practice*).

Of the counts n_uv of users x values, the singular vectors of (n_uv - n_u n_v / n) / √(n_u (n_v + n̄)) place values that
the same users turn to near one another; n̄, a mean value's count, keeps rare values near zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from mailcli.data.schema import FIRST_ID
from mailcli.utils.truncated_svd import truncated_svd

#: Root mean square of the vectors' entries (ours: with .1, BaseDNN learned less of them, .634 instead of .655 for old
#: users on the validation day of experiments/simulated-30k.toml).
SCALE = 1.0
#: Singular values below this are rounding errors (ours: the largest of such scaled counts is below 1).
SMALLEST = 1e-7


def value_vectors(
    user: NDArray[np.int64], ids: NDArray[np.integer], size: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """[size, dim], a vector per id of a vocabulary; zeros for padding, unknown and ids without behavior.

    Args:
        user, ids: [N], who did it, and the value's id.
        size: of the vocabulary.
        dim: length of a vector; components that do not exist are zero.
        seed: of the decomposition's starting vector.
    """
    vectors = np.zeros((size, dim), np.float32)
    real = ids >= FIRST_ID
    if not real.any():
        return vectors
    _, user = np.unique(user[real], return_inverse=True)
    shape = user.max() + 1, size - FIRST_ID
    counts = sparse.csr_array((np.ones(len(user)), (user, ids[real] - FIRST_ID)), shape)
    components = min(dim, min(shape) - 1)
    if components < 1:
        return vectors
    per_user: NDArray[np.float64] = counts.sum(axis=1)
    per_value: NDArray[np.float64] = counts.sum(axis=0)
    by_user, by_value = per_user**-0.5, (per_value + per_value.mean()) ** -0.5
    scaled = aslinearoperator(sparse.diags_array(by_user) @ counts @ sparse.diags_array(by_value))
    # A product of two vectors, subtracted without making the dense matrix.
    expected = np.sqrt(per_user)[:, None] / len(user), (per_value * by_value)[None]
    centered = scaled - aslinearoperator(expected[0]) @ aslinearoperator(expected[1])
    _, singular_values, right = truncated_svd(centered, components, rng=np.random.default_rng(seed))
    # Users who all did the same leave nothing but rounding errors.
    right[singular_values < SMALLEST] = 0
    places = by_value[:, None] * (right * singular_values[:, None])[::-1].T
    spread = np.sqrt(np.average((places**2).mean(axis=1), weights=per_value))
    if spread > 0:
        vectors[FIRST_ID:, :components] = SCALE * places / spread
    return vectors
