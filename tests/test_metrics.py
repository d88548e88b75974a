from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mailcli.metrics import auc, gauc, relative_improvement
from tests import oracles

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(-3, 3).map(float)), min_size=1, max_size=40)


def test_auc_by_hand() -> None:
    # Clicks score .8 and .4, non-clicks .6 and .2: three of four pairs are in order.
    assert auc([1, 0, 1, 0], [0.8, 0.6, 0.4, 0.2]) == 0.75


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 1], [1, 1], 0.5),
        ([0, 0, 1, 1], [3, 3, 3, 3], 0.5),
        ([1, 0], [0, 1], 0.0),
        ([0, 1, 1], [1, 1, 2], 0.75),
    ],
)
def test_ties_count_half(labels: list[int], scores: list[float], expected: float) -> None:
    assert auc(labels, scores) == expected


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_has_no_auc(labels: list[int]) -> None:
    assert math.isnan(auc(labels, [0.5] * len(labels)))


@given(rows)
def test_auc_is_the_share_of_ordered_pairs(data: list[tuple[int, int, float]]) -> None:
    _, labels, scores = zip(*data, strict=True)
    np.testing.assert_allclose(auc(labels, scores), oracles.auc(labels, scores), atol=1e-12, equal_nan=True)


@given(rows, st.randoms(use_true_random=False))
def test_gauc_is_the_loop_over_users_in_any_order(data: list[tuple[int, int, float]], random: Any) -> None:
    expected = oracles.gauc(*zip(*data, strict=True))
    random.shuffle(data)
    np.testing.assert_allclose(gauc(*zip(*data, strict=True)).value, expected, atol=1e-12, equal_nan=True)


def test_agrees_with_scikit_learn_on_many_rows() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50_000), rng.random(50_000).round(3)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_gauc_by_hand() -> None:
    # User 7: AUC 1 of 2 rows; user 3: AUC .5 of 3 rows; user 5: one class, left out.
    users = [7, 3, 5, 7, 3, 3, 5, 5]
    labels = [1, 1, 0, 0, 0, 0, 0, 0]
    scores = [0.9, 0.5, 0.3, 0.1, 0.6, 0.4, 0.2, 0.1]
    found = gauc(users, labels, scores)
    assert found.value == pytest.approx((2 * 1 + 3 * 0.5) / 5)
    assert found.users == 2
    assert found.one_class_users == pytest.approx(1 / 3)
    assert found.one_class_impressions == pytest.approx(3 / 8)


def test_users_of_one_class_only() -> None:
    found = gauc([1, 2], [0, 1], [0.1, 0.2])
    assert math.isnan(found.value)
    assert found.one_class_users == 1


def test_relative_improvement_of_the_paper() -> None:
    # MAIL-Base against BaseDNN on Alimama, new users: Table 2 prints 1.22 (from unrounded metrics).
    assert relative_improvement(0.5862, 0.5934) == pytest.approx(1.2282, abs=1e-4)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [([0, 2], [0, 1], "0 or 1"), ([0, 1], [0, math.nan], "finite"), ([0, 1], [0], "one length")],
)
def test_refuses(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc(labels, scores)
