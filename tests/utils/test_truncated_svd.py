"""The truncated decomposition, and what it makes of zeros."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mailcli.utils.truncated_svd import truncated_svd


def test_of_a_diagonal_matrix() -> None:
    """The largest of 3, 5 and 1, ascending."""
    left, values, right = truncated_svd(csr_matrix(np.diag([3.0, 5.0, 1.0])), 2, random_state=0)
    np.testing.assert_allclose(values, [3, 5])
    np.testing.assert_allclose((left * values) @ right, np.diag([3, 5, 0]), atol=1e-12)


@pytest.mark.parametrize("start", [{"random_state": 0}, {"rng": np.random.default_rng(0)}])
def test_zeros_have_singular_values_of_zero(start: dict[str, object]) -> None:
    left, values, right = truncated_svd(csr_matrix((5, 4)), 2, **start)
    assert (left.shape, values.tolist(), right.shape) == ((5, 2), [0, 0], (2, 4))
    assert not left.any()
    assert not right.any()
