"""The shared layers in NumPy, equation by equation."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.layers import AttentionPooling, ResidualDecoder, ResidualEncoder
from tests.helpers.oracles import leaky


def test_attention_pooling_is_equations_1_and_2() -> None:
    rng = np.random.default_rng(0)
    x, w, b, z = (
        rng.normal(size=(2, 3, 2)),
        rng.normal(size=(2, 4)),
        rng.normal(size=4),
        rng.normal(size=(4, 1)),
    )
    mask = np.array([[True, True, False], [True, True, True]])
    layer = AttentionPooling(4)
    layer.build((None, 3, 2))
    layer.set_weights([w, b, z])
    pooled = layer(tf.constant(x, tf.float32), tf.constant(mask)).numpy()
    for row in range(2):
        positions = [i for i in range(3) if mask[row, i]]
        e = np.array([(z.T @ np.tanh(w.T @ x[row, i] + b)).item() for i in positions])
        alpha = np.exp(e) / np.exp(e).sum()
        expected = sum(a * x[row, i] for a, i in zip(alpha, positions, strict=True))
        np.testing.assert_allclose(pooled[row], expected, atol=1e-6)


def test_attention_over_an_empty_history_is_zero() -> None:
    layer = AttentionPooling(4)
    layer.build((None, 3, 2))
    pooled = layer(tf.ones([1, 3, 2]), tf.zeros([1, 3], tf.bool))
    np.testing.assert_array_equal(pooled, np.zeros((1, 2)))


def test_attention_without_a_mask_sees_every_place() -> None:
    layer = AttentionPooling(4)
    layer.build((None, 3, 2))
    x = tf.random.stateless_normal([2, 3, 2], seed=[0, 1])
    np.testing.assert_allclose(layer(x), layer(x, tf.ones([2, 3], tf.bool)), atol=1e-6)


def test_encoder_is_equation_15() -> None:
    layer = ResidualEncoder((5, 4, 3), dropout=0.5)
    layer.build((None, 2))
    h = np.random.default_rng(1).normal(size=(6, 2))
    (w1, b1, w2, b2, w3, b3) = [np.array(v) + 0.1 for v in layer.get_weights()]
    layer.set_weights([w1, b1, w2, b2, w3, b3])
    z1 = leaky(h @ w1 + b1)
    z2 = leaky(np.concatenate([z1, h], 1) @ w2 + b2)
    p = leaky(np.concatenate([z2, h], 1) @ w3 + b3)
    np.testing.assert_allclose(layer(tf.constant(h, tf.float32)), p, atol=1e-5)


def test_decoder_is_equation_16_and_linear_at_the_end() -> None:
    layer = ResidualDecoder((4, 5), outputs=6, dropout=0.5)
    layer.build((None, 3))
    p = np.random.default_rng(2).normal(size=(6, 3))
    (w1, b1, w2, b2, w3, b3) = [np.array(v) - 0.1 for v in layer.get_weights()]
    layer.set_weights([w1, b1, w2, b2, w3, b3])
    z3 = leaky(p @ w1 + b1)
    z4 = leaky(np.concatenate([z3, p], 1) @ w2 + b2)
    out = np.concatenate([z4, p], 1) @ w3 + b3
    np.testing.assert_allclose(layer(tf.constant(p, tf.float32)), out, atol=1e-5)
    assert (out < 0).any()


def test_dropout_acts_in_training_only() -> None:
    layer = ResidualEncoder((50, 50, 50), dropout=0.5)
    layer.build((None, 8))
    h = tf.ones([1, 8])
    assert np.array_equal(layer(h), layer(h))
    assert not np.array_equal(layer(h, training=True), layer(h, training=True))
