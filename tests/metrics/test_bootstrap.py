from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mailcli.metrics.auc import auc, gauc
from mailcli.metrics.bootstrap import WeightedMetrics, draw_users, percentile_interval, resample
from tests.helpers import oracles

POPULATION = 5
rows = st.lists(
    st.tuples(st.integers(0, POPULATION - 1), st.integers(0, 1), st.integers(-3, 3).map(float)),
    min_size=1,
    max_size=30,
)
drawn_users = st.lists(st.integers(0, POPULATION - 1), min_size=POPULATION, max_size=POPULATION)

# User 0: a click at .9 above a non-click at .1. User 1: a click at .4 below a non-click at .6. User 2: one class.
USERS = [0, 1, 0, 1, 2]
LABELS = [1, 1, 0, 0, 0]
SCORES = [0.9, 0.4, 0.1, 0.6, 0.4]


def weights(*counts: int) -> NDArray[np.int64]:
    return np.array(counts)


def metrics_of(sample: WeightedMetrics, counts: NDArray[np.int64]) -> tuple[float, float]:
    return sample.auc(counts), sample.gauc(counts)


@pytest.mark.parametrize(
    ("counts", "expected_auc", "expected_gauc"),
    [
        # .9 is above .1, .6 and .4; .4 is above .1, below .6, tied with .4: 4.5 of 6.
        ((1, 1, 1), 4.5 / 6, (2 * 1 + 2 * 0) / 4),
        # Clicks .9, .9, .4; non-clicks .1, .1, .6: 2 x 3 + 2 = 8 of 9.
        ((2, 1, 0), 8 / 9, (4 * 1 + 2 * 0) / 6),
        # .4 ties with the non-click of user 2, three times, and is below .6.
        ((0, 1, 3), 1.5 / 4, 0.0),
        ((3, 0, 0), 1.0, 1.0),
        # Only user 2, who has no click; no user at all.
        ((0, 0, 3), math.nan, math.nan),
        ((0, 0, 0), math.nan, math.nan),
    ],
)
def test_weights_by_hand(counts: tuple[int, ...], expected_auc: float, expected_gauc: float) -> None:
    result = metrics_of(WeightedMetrics(USERS, LABELS, SCORES, 3), weights(*counts))
    np.testing.assert_allclose(result, (expected_auc, expected_gauc), atol=1e-15, equal_nan=True)


@given(rows, drawn_users)
def test_weights_are_what_resampled_rows_give(data: list[tuple[int, int, float]], drawn: list[int]) -> None:
    users, labels, scores = zip(*data, strict=True)
    result = metrics_of(WeightedMetrics(users, labels, scores, POPULATION), np.bincount(drawn, minlength=POPULATION))
    expected = oracles.resampled(users, labels, scores, drawn)
    np.testing.assert_allclose(result, expected, atol=1e-12, equal_nan=True)


@given(rows)
def test_weights_of_one_give_the_metrics_themselves(data: list[tuple[int, int, float]]) -> None:
    users, labels, scores = zip(*data, strict=True)
    result = metrics_of(WeightedMetrics(users, labels, scores, POPULATION), np.ones(POPULATION, np.int64))
    expected = auc(labels, scores), gauc(users, labels, scores).value
    np.testing.assert_allclose(result, expected, atol=1e-12, equal_nan=True)


@given(rows, drawn_users)
def test_what_leaves_the_metrics_as_they_are(data: list[tuple[int, int, float]], drawn: list[int]) -> None:
    users, labels, scores = (np.array(column) for column in zip(*data, strict=True))
    counts = np.bincount(drawn, minlength=POPULATION)
    expected = metrics_of(WeightedMetrics(users, labels, scores, POPULATION), counts)
    # All users drawn three times as often, and an increasing function of the scores.
    result = metrics_of(WeightedMetrics(users, labels, np.exp(scores), POPULATION), 3 * counts)
    np.testing.assert_allclose(result, expected, atol=1e-12, equal_nan=True)
    # With reversed scores, a click is above a non-click if it was below.
    reversed_metrics = metrics_of(WeightedMetrics(users, labels, -scores, POPULATION), counts)
    np.testing.assert_allclose(reversed_metrics, 1 - np.array(expected), atol=1e-12, equal_nan=True)


def test_no_impressions() -> None:
    assert all(map(math.isnan, metrics_of(WeightedMetrics([], [], [], 2), weights(1, 1))))


@pytest.mark.parametrize("users", [[0, 3], [-1, 0]])
def test_users_outside_the_population_are_refused(users: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"users should be 0 to 2. Received: {users[0]} to {users[1]}"):
        WeightedMetrics(users, [0, 1], [0, 1], 3)


def test_a_draw_has_as_many_users_as_there_are() -> None:
    for number in range(20):
        counts = draw_users(100, 0, number)
        assert counts.shape == (100,)
        assert counts.sum() == 100
    assert draw_users(1, 7, 3).tolist() == [1]


def test_every_draw_of_two_users_is_as_likely_as_it_should_be() -> None:
    # Both draws the first user, one each, both the second: 1/4, 1/2, 1/4. Standard error of 4,000 draws: below .008.
    frequencies = Counter(tuple(draw_users(2, 0, number).tolist()) for number in range(4_000))
    for counts, share in {(2, 0): 0.25, (1, 1): 0.5, (0, 2): 0.25}.items():
        assert frequencies[counts] / 4_000 == pytest.approx(share, abs=0.03)


def test_draws_depend_on_seed_and_number_alone() -> None:
    rng = np.random.default_rng(0)
    users, labels, scores = rng.integers(0, 50, 1_000), rng.random(1_000) < 0.2, rng.random(1_000)
    subset = labels | (users < 30)
    samples = [
        WeightedMetrics(users, labels, scores, 50),
        WeightedMetrics(users[subset], labels[subset], scores[subset], 50),
    ]
    values = np.array(list(resample(samples, 50, 40, seed=3)))
    assert values.shape == (40, 2, 2)
    one_by_one = [[metrics_of(sample, draw_users(50, 3, number)) for sample in samples] for number in range(40)]
    np.testing.assert_array_equal(values, one_by_one)
    np.testing.assert_array_equal(list(resample(samples, 50, 10, seed=3)), values[:10])
    assert (np.array(list(resample(samples, 50, 40, seed=4))) != values).any(axis=(1, 2)).all()


def test_draws_that_nobody_waits_for_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []

    def count_and_draw(population: int, seed: int, number: int) -> NDArray[np.int64]:
        numbers.append(number)
        time.sleep(0.01)
        return draw_users(population, seed, number)

    monkeypatch.setattr("mailcli.metrics.bootstrap.draw_users", count_and_draw)
    draws = resample([WeightedMetrics(USERS, LABELS, SCORES, 3)], 3, 3_000, seed=0)
    assert len(list(itertools.islice(draws, 2))) == 2
    draws.close()  # as Ctrl-C does
    assert 2 <= len(numbers) < 3_000


def test_interval_by_hand() -> None:
    assert percentile_interval(range(201)) == pytest.approx((5, 195))
    assert percentile_interval(range(201), level=0.5) == pytest.approx((50, 150))
    assert percentile_interval([math.nan, 2.0, math.nan, 2.0]) == (2.0, 2.0)
    assert all(map(math.isnan, percentile_interval([math.nan])))
    assert all(map(math.isnan, percentile_interval([])))


def simulated(rng: np.random.Generator, users: int, per_user: int) -> tuple[NDArray, NDArray, NDArray]:
    """Scores from N(taste + 1 for a click, 1), with a taste from N(0, 1) per user; the users' click rates vary, too."""
    user = np.repeat(np.arange(users), per_user)
    label = rng.random(len(user)) < rng.uniform(0.1, 0.6, users)[user]
    return user, label, rng.normal(rng.normal(size=users)[user] + label)


@pytest.mark.slow
def test_intervals_cover_the_known_auc() -> None:
    # A click and a non-click of one user differ by N(1, 2), of two users by N(1, 4): Φ(1/√2) and Φ(1/2).
    truth = np.array([NormalDist().cdf(0.5), NormalDist().cdf(0.5**0.5)])
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        sample = WeightedMetrics(*simulated(rng, users=150, per_user=12), 150)
        values = np.array(list(resample([sample], 150, 200, seed=0)))[:, 0]
        low, high = np.transpose([percentile_interval(values[:, metric]) for metric in range(2)])
        covered.append((low <= truth) & (truth <= high))
    # Standard error of a share of 300: .013.
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.95, atol=0.04)


def test_rows_drawn_one_by_one_would_cover_it_too_seldom() -> None:
    # Why users are drawn: the same interval, as if every impression had its own user.
    truth = NormalDist().cdf(0.5)
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(100):
        _, label, score = simulated(rng, users=50, per_user=36)
        sample = WeightedMetrics(np.arange(1_800), label, score, 1_800)
        low, high = percentile_interval([values[0, 0] for values in resample([sample], 1_800, 100, seed=0)])
        covered.append(low <= truth <= high)
    assert np.mean(covered) < 0.7


def test_draws_use_the_threads_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    counts = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, count: int) -> None:
            counts.append(count)
            super().__init__(count)

    monkeypatch.setattr("mailcli.metrics.bootstrap.ThreadPoolExecutor", Pool)
    assert len(list(resample([WeightedMetrics(USERS, LABELS, SCORES, 3)], 3, 2, seed=0))) == 2
    assert counts == [3]
