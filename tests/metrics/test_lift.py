"""The lift of an A/B test and its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mailcli.metrics.statistics import lift


def test_lift_by_hand() -> None:
    # Means .25 and .5, variances (n - 1) .25 / 3 and 1 / 3, hence s² = .25/3/4/.0625 + 1/3/4/.25 = 2/3.
    result = lift(np.array([0.0, 0.0, 0.5, 0.5]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert (result.a, result.b) == (0.25, 0.5)
    assert result.lift == pytest.approx(100)
    # exp(.693147 ± 1.959964 · .816497) - 1; p = 2 Φ(-.693147 / .816497) = 2 Φ(-.848928).
    assert result.low == pytest.approx(100 * (math.exp(0.693147 - 1.600304) - 1), rel=1e-5)
    assert result.high == pytest.approx(100 * (math.exp(0.693147 + 1.600304) - 1), rel=1e-5)
    assert result.p == pytest.approx(0.395921, rel=1e-4)
    assert not result.significant


def test_a_lift_that_is_undefined() -> None:
    some, none = np.array([0.2, 0.4]), np.zeros(3)
    assert lift(some, none)[2:] == (None, None, None, None)
    assert lift(none, some).a == 0.0
    assert lift(none, some).b == pytest.approx(0.3)
    assert lift(none, some).lift is None
    assert lift(some[:1], some).p is None
    assert lift(some[:0], some).a is None
    same = np.full(3, 0.5)
    assert lift(same, same).p == 1.0
    assert lift(same, same / 2).p == 0.0
    assert lift(same, same / 2).significant


@pytest.mark.parametrize(("rate", "ratio"), [(0.05, 1.0), (0.05, 1.3), (0.005, 1.0)])
def test_intervals_hold_the_true_lift_95_times_of_100(rate: float, ratio: float) -> None:
    """Users differ: their click rates are gamma-distributed, and some of the 5 items shown are clicked."""
    rng, repeats, users = np.random.default_rng(3), 2000, 1500
    covered = significant = 0
    for _ in range(repeats):
        own = np.minimum(rng.gamma(2, rate / 2, (2, users)) * np.array([[1], [ratio]]), 1)
        clicks = rng.binomial(5, own) / 5
        result = lift(clicks[0], clicks[1])
        assert result.low is not None
        assert result.high is not None
        covered += result.low <= 100 * (ratio - 1) <= result.high
        significant += result.significant
    # 4 standard errors of a share of 2,000 at .95 are .0195.
    assert covered / repeats == pytest.approx(0.95, abs=0.02)
    if ratio == 1:
        assert covered + significant == repeats, "the p-value and the interval agree"
    else:
        assert significant / repeats > 0.5
