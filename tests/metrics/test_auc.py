from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mailcli.metrics.auc import auc, auc_by_user, gauc, relative_improvement
from tests.helpers import oracles

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(-3, 3).map(float)), min_size=1, max_size=40)


def test_auc_by_hand() -> None:
    # Clicks score .8 and .4, non-clicks .6 and .2: three of four pairs are in the right order.
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


def test_python_numbers_are_exact_and_texts_are_refused() -> None:
    assert auc([0, 1], [10**30, 10**30 + 1]) == 1.0
    for scores in ([0.5, 1], [Decimal("0.5"), Decimal(1)], [np.False_, np.True_]):
        assert auc([0, 1], np.array(scores, object)) == 1.0
    with pytest.raises(ValueError, match=r"^scores should be numbers. Received: NoneType, str$"):
        auc([0, 1], np.array(["1", None], object))
    with pytest.raises(ValueError, match=r"^scores should be finite$"):
        auc([0, 1], np.array([10**400, 0.5], object))


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


def test_every_user_agrees_with_scikit_learn() -> None:
    # Users of very different sizes, 5% clicks, a third of the scores tied; float32, as models return them.
    rng = np.random.default_rng(1)
    users = (300 * rng.random(30_000) ** 3).astype(np.int32)
    labels = rng.random(30_000) < 0.05
    scores = rng.random(30_000, np.float32)
    scores[::3] = scores[::3].round(1)
    result = auc_by_user(users, labels, scores)
    expected, impressions = [], []
    for user in range(300):
        own = labels[users == user], scores[users == user]
        expected.append(roc_auc_score(*own) if 0 < own[0].sum() < len(own[0]) else math.nan)
        impressions.append(len(own[0]))
    assert any(map(math.isnan, expected))
    np.testing.assert_allclose(result.auc, expected, rtol=0, atol=1e-12, equal_nan=True)
    np.testing.assert_array_equal(result.impressions, impressions)


@given(rows)
def test_scores_of_either_precision_and_any_integers_for_users(data: list[tuple[int, int, float]]) -> None:
    users, labels, scores = (np.array(column) for column in zip(*data, strict=True))
    expected = gauc(users, labels, scores)
    np.testing.assert_equal(gauc(users, labels, scores.astype(np.float32)), expected)
    assert auc(labels, scores.astype(np.float32)) == pytest.approx(auc(labels, scores), nan_ok=True, abs=0)
    for ids in ((users * 60 - 120).astype(np.int8), (users - 2) * 2**61, users.astype(np.uint64) << 40):
        np.testing.assert_equal(gauc(ids, labels, scores), expected)


def test_two_zeros_are_one_score() -> None:
    assert auc([1, 0], [0.0, -0.0]) == 0.5
    assert gauc([0, 0], [1, 0], [-0.0, 0.0]).value == 0.5


def test_gauc_by_hand() -> None:
    # User 7: AUC 1 of 2 rows; user 3: AUC .5 of 3 rows; user 5: one class, excluded.
    users = [7, 3, 5, 7, 3, 3, 5, 5]
    labels = [1, 1, 0, 0, 0, 0, 0, 0]
    scores = [0.9, 0.5, 0.3, 0.1, 0.6, 0.4, 0.2, 0.1]
    result = gauc(users, labels, scores)
    assert result.value == pytest.approx((2 * 1 + 3 * 0.5) / 5)
    assert result.users == 2
    assert result.one_class_user_share == pytest.approx(1 / 3)
    assert result.one_class_impression_share == pytest.approx(3 / 8)


def test_users_of_one_class_only() -> None:
    result = gauc([1, 2], [0, 1], [0.1, 0.2])
    assert math.isnan(result.value)
    assert result.one_class_user_share == 1


def test_no_impressions() -> None:
    result = gauc([], [], [])
    assert math.isnan(result.value)
    assert result[1:] == (0, 0.0, 0.0)


def test_relative_improvement_of_the_paper() -> None:
    # MAIL-Base against BaseDNN on Alimama, new users: Table 2 prints 1.22 (from unrounded metrics).
    assert relative_improvement(0.5862, 0.5934) == pytest.approx(1.2282, abs=1e-4)


def test_relative_improvement_over_nothing_is_undefined() -> None:
    assert np.isnan(relative_improvement(0.0, 0.5))


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [([0, 2], [0, 1], "0 or 1"), ([0, 1], [0, math.nan], "finite"), ([0, 1], [0], "one length")],
)
def test_wrong_labels_and_scores_are_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc(labels, scores)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [1j, 2], "scores should be numbers. Received: complex128"),
        ([0, 1], ["a", "b"], "scores should be numbers. Received: <U1"),
        ([0, 1], np.ma.masked_array([0.1, 0.2], [True, False]), "scores should have no masked values"),
        (np.ma.masked_array([0, 1], [True, False]), [0.1, 0.2], "labels should have no masked values"),
    ],
)
def test_refuses_what_numpy_would_convert(labels: Any, scores: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc(labels, scores)


@pytest.mark.parametrize("low", [2**53, -(2**53) - 1, 2**62, np.iinfo(np.int64).min])
def test_large_whole_numbers_are_not_rounded(low: int) -> None:
    assert auc([0, 1, 0], [low, low + 1, low]) == 1
    assert auc([1, 0], [low, low + 1]) == 0


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (Decimal("0.1"), Decimal("0.10000000000000000001")),
        (Fraction(1, 3), Fraction(10**20 + 1, 3 * 10**20)),
        (2**53, Decimal(2**53 + 1)),
        (2**70, 2**70 + 1),
    ],
)
def test_numbers_that_are_no_floats_keep_their_order(low: Any, high: Any) -> None:
    assert auc([0, 1], [low, high]) == 1
    assert auc([1, 0], [low, high]) == 0


def test_users_of_objects_are_those_of_integers() -> None:
    assert gauc(np.array([2, 2, 2**70, 2**70, 2**70], object), [0, 1, 0, 1, 1], [1, 2, 3, 2, 4]) == gauc(
        [0, 0, 1, 1, 1], [0, 1, 0, 1, 1], [1, 2, 3, 2, 4]
    )


def test_a_missing_label_is_none() -> None:
    with pytest.raises(ValueError, match="labels should be 0 or 1"):
        auc(pd.Series([True, False, pd.NA], dtype="boolean"), [1, 2, 3])
    assert auc(pd.Series([True, False, True], dtype="boolean"), [1, 2, 3]) == 0.5


def test_unsigned_users_keep_their_order() -> None:
    for first, last in ((1, 2**63 + 1), (2**63 - 1, 2**63), (2**64 - 2, 2**64 - 1)):
        users = np.array([first, last, first, last], np.uint64)
        assert auc_by_user(users, [0, 0, 1, 1], [0, 1, 1, 0]).auc.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([0], "users should have the labels' shape"),
        ([0.5, 1.5], "users should be integers or strings. Received: float64"),
        (np.array(["a", 1], object), "users should all be integers, or all be strings. Received: str"),
        (np.array(["a", None], object), "users should all be integers, or all be strings. Received: NoneType, str"),
        (np.array([1, None], object), "users should all be integers, or all be strings. Received: NoneType"),
        (np.array([1, True], object), "users should all be integers, or all be strings. Received: bool"),
    ],
)
def test_refuses_users(users: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gauc(users, [0, 1], [0, 1])


@pytest.mark.parametrize("kind", [str, object])
def test_users_may_be_strings(kind: type) -> None:
    """By hand: user a orders her one pair rightly, user b wrongly; they have 2 and 3 impressions of 5, user c is left out."""
    users: Any = np.array(["b", "a", "b", "a", "b", "c"], kind)
    labels, scores = [1, 0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert tuple(gauc(users, labels, scores)) == pytest.approx((2 / 5, 2, 1 / 3, 1 / 6))
    assert auc_by_user(users, labels, scores).auc.tolist()[:2] == [1, 0]
