"""Log loss, normalized entropy and calibration error, by hand and by their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcli.metrics.calibration import calibration


def test_five_impressions_by_hand() -> None:
    """Clicks at .8 and .5, none at .5, .2 and .1.

    Log loss: -(ln .8 + ln .5 + ln .5 + ln .8 + ln .9) / 5 = (2 x .223144 + 2 x .693147 + .105361) / 5 = .387588. Entropy
    of the rate 2/5: -(.4 ln .4 + .6 ln .6) = .673012. Both impressions at .5 share a bin, whose labels have the mean .5:
    the error is (|.2| + |0| + |.2| + |.1|) / 5 = .1.
    """
    result = calibration([1, 1, 0, 0, 0], [0.8, 0.5, 0.5, 0.2, 0.1])
    assert result.log_loss == pytest.approx(0.3875883, abs=1e-6)
    assert result.normalized_entropy == pytest.approx(0.3875883 / 0.6730117, abs=1e-6)
    assert result.calibration_error == pytest.approx(0.1, abs=1e-12)


def test_thirty_impressions_make_fifteen_bins_of_two() -> None:
    """Pairs at (k, k + .5) / 30: a click in the upper of each pair. Mean label .5, mean p (k + .25) / 30, for k = 0, 2,
    4 ... 28: |15 - k - .25| / 30 sums to (14.75 + 12.75 + ... + .75) + (1.25 + ... + 13.25) over 30 = 112.75 / 30."""
    scores = [(k + part) / 30 for k in range(0, 30, 2) for part in (0, 0.5)]
    result = calibration([0, 1] * 15, scores)
    assert result.calibration_error == pytest.approx(112.75 / 30 / 15, abs=1e-12)


def test_certainty_has_a_finite_loss() -> None:
    """A float32 score of 1 or 0 that is wrong costs -ln 2^-23 = 23 ln 2."""
    result = calibration([1, 0], np.array([0, 1], np.float32))
    assert result.log_loss == pytest.approx(23 * math.log(2))
    assert result.calibration_error == 1


def test_one_label_has_no_normalized_entropy_and_no_impressions_nothing() -> None:
    result = calibration([0, 0], [0.5, 0.5])
    assert result.log_loss == pytest.approx(math.log(2))
    assert math.isnan(result.normalized_entropy)
    assert np.isnan(calibration([], [])).all()


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [([1, 0], [0.5], "one length"), ([2], [0.5], "labels"), ([1], [1.5], "from 0 to 1"), ([1], [math.nan], "0 to 1")],
)
def test_other_arrays_are_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration(labels, scores)


@given(st.lists(st.booleans(), min_size=2, max_size=200).filter(lambda labels: len(set(labels)) == 2))
def test_the_click_rate_predicted_for_all_has_the_normalized_entropy_one(labels: list[bool]) -> None:
    result = calibration(labels, np.full(len(labels), np.mean(labels)))
    assert result.normalized_entropy == pytest.approx(1, abs=1e-9)
    assert result.calibration_error == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 0.9])), min_size=1), st.randoms())
def test_the_order_of_impressions_is_of_no_matter(impressions: list[tuple[bool, float]], random: object) -> None:
    shuffled = list(impressions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (calibration(*zip(*rows, strict=True)) for rows in (impressions, shuffled))
    np.testing.assert_allclose(first, second, atol=1e-12)
