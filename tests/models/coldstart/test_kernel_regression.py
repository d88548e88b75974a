"""Kernel regression by hand."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.coldstart._kernel_regression import fit_weights, regress


def test_users_count_by_their_behaviors_and_by_what_they_have_in_common() -> None:
    sums, counts = tf.constant([[4.0], [6.0], [1.0], [0.0]]), tf.constant([2.0, 3.0, 1.0, 0.0])
    kernel = tf.constant([[1.0, 0.5, 0.25, 0.125]])
    predicted = regress(kernel, sums, counts, tf.constant([5.0]), tf.constant(2.0))
    # (4 + .5 · 6 + .25 · 1 + 2 · 5) / (2 + .5 · 3 + .25 · 1 + 2)
    np.testing.assert_allclose(predicted, [[17.25 / 5.75]], rtol=1e-6)


def test_a_user_is_predicted_by_the_others_alone() -> None:
    # The first attribute tells all, and the second nothing; a user that could see itself would trust both.
    keys = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 8)
    truth = np.where(keys[:, :1] == 0, -1.0, 1.0)

    def kernel_of(users: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        same = tf.constant(keys[:, None] == keys[None], tf.float32)
        return tf.exp(tf.tensordot(tf.gather(same, users) - 1, weights, 1))

    rng = np.random.default_rng(0)
    sums = tf.constant(truth, tf.float32)
    weights, prior = fit_weights(kernel_of, 2, sums, tf.ones(32), tf.zeros([1]), 150, rng)
    assert weights[0] > 5 * weights[1]
    assert prior < 0.5
    unchanged, _ = fit_weights(kernel_of, 2, sums, tf.ones(32), tf.zeros([1]), 0, rng)
    assert unchanged.numpy().tolist() == [1.0, 1.0]
