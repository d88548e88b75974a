"""Vectors of values that the same users turn to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import ArpackNoConvergence

from mailcli.models.correspondence import value_vectors


def test_two_groups_of_users_with_values_of_their_own() -> None:
    # Users 0-2 turn to ids 2 and 3, users 3-5 to ids 4 and 5; nobody to 6, and 1 is unknown.
    user = np.repeat(np.arange(6), 3)
    ids = np.array([2, 3, 1] * 3 + [4, 5, 1] * 3)
    vectors = value_vectors(user, ids, 7, 1, seed=0)
    sign = np.sign(vectors[2, 0])
    np.testing.assert_allclose(sign * vectors[:, 0], [0, 0, 1, 1, -1, -1, 0], atol=1e-6)


def test_vectors_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(5)
    user, ids = rng.integers(12, size=200), rng.integers(2, 10, size=200)
    counts = np.zeros((12, 8))
    for u, i in zip(user, ids, strict=True):
        counts[u, i - 2] += 1
    smoothed = counts.sum(axis=0) + 25  # 200 behaviors of 8 values
    expected = counts.sum(axis=1)[:, None] * counts.sum(axis=0) / 200
    _, values, right = np.linalg.svd((counts - expected) / np.sqrt(counts.sum(axis=1))[:, None] / np.sqrt(smoothed))
    places = (values[:, None] * right / np.sqrt(smoothed))[:4].T
    vectors = value_vectors(user, ids, 10, 4, seed=0)[2:]
    # Signs are free: the products between values are compared, up to the scale.
    products, true_products = vectors @ vectors.T, places @ places.T
    np.testing.assert_allclose(products / np.trace(products), true_products / np.trace(true_products), atol=1e-5)
    weights = counts.sum(axis=0) / 200
    assert (weights * (vectors**2).mean(axis=1)).sum() == pytest.approx(1)


def test_components_that_do_not_exist_are_zero() -> None:
    # Three users and three values less what is expected of them: two components.
    user, ids = np.array([0, 1, 2, 2]), np.array([2, 3, 2, 4])
    assert value_vectors(user, ids, 5, 8, seed=0).any(axis=0).tolist() == [True] * 2 + [False] * 6
    assert not value_vectors(user, np.ones(4, int), 5, 8, seed=0).any(), "no known value"


def test_users_who_all_did_the_same_place_nothing() -> None:
    for users, values in ((5, [2, 3, 4, 4]), (7, [2, 3, 4]), (5, list(range(2, 12))), (20, [3])):
        user, ids = np.repeat(np.arange(users), len(values)), np.tile(values, users)
        assert not value_vectors(user, ids, 14, 2, seed=0).any(), "rounding errors are no vectors"


def test_a_decomposition_that_fails_is_no_matter_of_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ArpackNoConvergence("No convergence", np.empty((0, 0)), np.empty((0, 0)))

    monkeypatch.setattr("mailcli.utils.truncated_svd.svds", fail)
    with pytest.raises(ArpackNoConvergence):
        value_vectors(np.array([0, 1, 2, 2]), np.array([2, 3, 2, 4]), 5, 8, seed=0)
