"""The losses by hand, against plain loops, or against densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from mailcli.models.losses import (
    adaptive_sigma,
    click_loss,
    ctcvr_loss,
    gaussian_nll,
    kl_divergence,
    mmd2,
    squared_error,
    squared_lengths,
)
from tests.helpers.features import some_features
from tests.helpers.oracles import sigmoid


def test_squared_error_by_hand() -> None:
    reconstruction, truth = tf.constant([[1.0, 2.0], [0.0, 0.0]]), tf.constant([[0.0, 0.0], [3.0, 1.0]])
    # Rows: 1 + 4 = 5 and 9 + 1 = 10.
    assert float(squared_error(reconstruction, truth, "sum")) == 7.5
    assert float(squared_error(reconstruction, truth, "mean")) == 3.75


def test_squared_lengths_of_the_embeddings_of_an_impression_by_hand() -> None:
    features = some_features(2)._replace(
        attributes=tf.constant([[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 0.0]]]),
        context=tf.zeros([2, 0, 2]),
        target=tf.constant([[[2.0, 0.0]], [[1.0, 1.0]]]),
    )
    # Impressions: 1 + 4 + 1 + 4 = 10 and 9 + 1 + 1 = 11.
    assert float(squared_lengths(features)) == 10.5


def test_mmd_by_hand() -> None:
    p, q = tf.constant([[0.0], [1.0]]), tf.constant([[2.0]])
    # k over pp: (1 + 1 + 2 e^-.5) / 4; qq: 1; pq: (e^-2 + e^-.5) / 2.
    expected = (2 + 2 * math.exp(-0.5)) / 4 + 1 - (math.exp(-2) + math.exp(-0.5))
    assert float(mmd2(p, q, 1.0)) == pytest.approx(expected, abs=1e-6)


def test_mmd_with_another_sigma_pair_by_pair() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.normal(size=(5, 4)), rng.normal(1, 1, size=(7, 4))

    def mean_kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean([[math.exp(-((a - b) ** 2).sum() / (2 * 2.5**2)) for b in y] for a in x]))

    expected = mean_kernel(p, p) + mean_kernel(q, q) - 2 * mean_kernel(p, q)
    assert float(mmd2(tf.constant(p), tf.constant(q), 2.5)) == pytest.approx(expected, abs=1e-10)


def test_mmd_of_equal_samples_is_zero() -> None:
    p = tf.random.stateless_normal([6, 3], seed=[1, 2])
    assert float(mmd2(p, p, 1.0)) == pytest.approx(0, abs=1e-6)


def test_no_rows_give_zero_and_finite_gradients() -> None:
    empty = tf.Variable(tf.zeros([0, 4]))
    with tf.GradientTape() as tape:
        total = mmd2(empty, empty, 1.0) + squared_error(empty, tf.zeros([0, 4]), "mean")
    assert float(total) == 0
    assert tape.gradient(total, empty).shape == (0, 4)


def test_click_loss_by_hand() -> None:
    # -log sigmoid(0) = log 2; -log(1 - sigmoid(2)) = log(1 + e²).
    loss = click_loss(tf.constant([1.0, 0.0]), tf.constant([0.0, 2.0]))
    assert float(loss) == pytest.approx((math.log(2) + math.log1p(math.exp(2))) / 2, abs=1e-6)


def test_an_adaptive_sigma_is_as_wide_as_the_distances() -> None:
    p, q = tf.constant([[0.0, 1.0], [2.0, 1.0]]), tf.constant([[2.0, 1.0], [0.0, 1.0]])
    # Half of all 16 pairs are 2 apart: the mean squared distance is 2 = 2σ².
    assert float(adaptive_sigma(p, q)) == pytest.approx(1.0)
    # Codes ten times as far apart have the same MMD.
    rng = np.random.default_rng(5)
    p, q = (tf.constant(rng.normal(mean, 1, (6, 3)), tf.float32) for mean in (0, 1))
    distances = [float(mmd2(scale * p, scale * q, adaptive_sigma(scale * p, scale * q))) for scale in (1.0, 10.0)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-4)
    assert distances[0] > 0.05


def test_codes_that_are_all_alike_have_a_sigma_too() -> None:
    same = tf.ones((4, 3))
    assert float(adaptive_sigma(same, same)) == 1.0
    assert float(mmd2(same, same, adaptive_sigma(same, same))) == 0.0


def test_the_ctcvr_loss_is_that_of_the_product() -> None:
    ctr, cvr, bought = np.array([0.3, -2.0, 4.0]), np.array([1.0, 0.5, -1.0]), np.array([1.0, 0.0, 0.0])
    p = sigmoid(ctr) * sigmoid(cvr)
    expected = -np.mean(bought * np.log(p) + (1 - bought) * np.log(1 - p))
    loss = ctcvr_loss(*(tf.constant(x, tf.float32) for x in (bought, ctr, cvr)))
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_the_ctcvr_loss_and_its_gradient_are_finite_at_the_ends() -> None:
    logits = tf.constant([60.0, -60.0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = ctcvr_loss(tf.constant([0.0, 1.0]), logits, logits)
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_kl_is_that_of_the_densities() -> None:
    mean, deviation, prior_mean, prior_deviation = 0.3, 0.7, -0.4, 1.6
    x = np.linspace(-12, 12, 200_001)
    p, q = scipy.stats.norm(mean, deviation), scipy.stats.norm(prior_mean, prior_deviation)
    expected = np.trapezoid(p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), x)
    numbers = (mean, 2 * np.log(deviation), prior_mean, 2 * np.log(prior_deviation))
    divergence = kl_divergence(*(tf.constant([[value]], tf.float32) for value in numbers))
    assert float(divergence) == pytest.approx(expected, abs=1e-6)
    zeros = tf.zeros([3, 2])
    assert float(kl_divergence(zeros, zeros, zeros, zeros)) == 0
    assert float(kl_divergence(zeros[:0], zeros[:0], zeros[:0], zeros[:0])) == 0


def test_gaussian_nll_by_hand() -> None:
    # Squared errors 1 + 0 and 4 + 1 over two numbers each: mean 1.5. n/2 (1 + log 1.5), n = 2.
    truth = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    reconstruction = tf.Variable([[2.0, 2.0], [1.0, 3.0]])
    with tf.GradientTape() as tape:
        loss = gaussian_nll(reconstruction, truth)
    assert float(loss) == pytest.approx(1 + math.log(1.5), rel=1e-6)
    # The gradient of n/2 log(mean squared error): (x̂ - x) / (rows · 1.5), whatever the scale of the data.
    np.testing.assert_allclose(tape.gradient(loss, reconstruction), np.array([[1, 0], [-2, -1]]) / 3, rtol=1e-6)
    # Without old users.
    assert float(gaussian_nll(tf.zeros([0, 2]), tf.zeros([0, 2]))) == 0
