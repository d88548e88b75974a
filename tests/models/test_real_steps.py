"""Errors over real steps alone, against a loop over users, and their gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.models.real_steps import real_step_errors

DIM, WIDTH = 2, 3


def layer_of(n_v: int) -> Any:
    last = keras.layers.Dense(n_v * DIM)
    last.build((None, WIDTH))
    rng = np.random.default_rng(3)
    last.set_weights([rng.normal(size=(WIDTH, n_v * DIM)), rng.normal(size=n_v * DIM)])
    return last


def arrays(lengths: list[int], n_v: int, codes: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    mask = np.arange(n_v)[None] >= n_v - np.array(lengths)[:, None]
    x = rng.normal(size=(codes, len(lengths), WIDTH)).astype(np.float32)
    # What padding holds must not matter.
    return x, rng.normal(size=(len(lengths), n_v, DIM)).astype(np.float32), mask


def oracle(x: np.ndarray, last: Any, v: np.ndarray, mask: np.ndarray, reduction: str) -> list[float]:
    kernel, bias = last.get_weights()
    means = []
    for code in x:
        users = []
        for row, truth, real in zip(code, v, mask, strict=True):
            outputs = (row @ kernel + bias).reshape(-1, DIM)
            errors = [
                ((output - step) ** 2).sum()
                for output, step, is_real in zip(outputs, truth, real, strict=True)
                if is_real
            ]
            users.append(sum(errors) / (len(errors) * DIM if reduction == "mean" else 1))
        means.append(float(np.mean(users)))
    return means


def test_by_hand() -> None:
    """x = 1, W = (1, 2, 3, 4), b = 0, the second of two steps is real: (3 - 1)² + (4 - 1)² = 13."""
    last = keras.layers.Dense(4)
    last.build((None, 1))
    last.set_weights([np.array([[1.0, 2.0, 3.0, 4.0]]), np.zeros(4)])
    arguments = (tf.ones([1, 1, 1]), last, tf.ones([1, 2, 2]), tf.constant([[False, True]]))
    assert [float(error) for error in real_step_errors(*arguments, "sum")] == [13.0]
    assert [float(error) for error in real_step_errors(*arguments, "mean")] == [6.5]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 23), min_size=1, max_size=6))
def test_equals_a_loop_over_users(reduction: str, lengths: list[int]) -> None:
    last = layer_of(23)
    x, v, mask = arrays(lengths, 23)
    errors = real_step_errors(tf.constant(x), last, tf.constant(v), tf.constant(mask), reduction)
    np.testing.assert_allclose([float(error) for error in errors], oracle(x, last, v, mask, reduction), rtol=1e-4)


def test_full_histories_have_the_gradients_of_one_product() -> None:
    last = layer_of(12)
    x, v, mask = (tf.constant(array) for array in arrays([12, 12, 12], 12, codes=1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        loss = real_step_errors(x, last, v, mask, "sum")[0]
        whole = tf.reduce_mean(tf.reduce_sum((last(x[0]) - tf.reshape(v, [3, -1])) ** 2, axis=1))
    assert float(loss) == pytest.approx(float(whole), rel=1e-5)
    variables = [x, *last.trainable_variables]
    for gradient, expected in zip(tape.gradient(loss, variables), tape.gradient(whole, variables), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_weights_of_steps_that_nobody_has_get_no_gradient() -> None:
    last = layer_of(12)
    x, v, mask = (tf.constant(array) for array in arrays([5, 3], 12))
    with tf.GradientTape() as tape:
        loss = tf.add_n(real_step_errors(x, last, v, mask, "sum"))
    kernel, bias = tape.gradient(loss, last.trainable_variables)
    unused = (12 - 5) * DIM
    assert not np.any(kernel[:, :unused])
    assert not np.any(bias[:unused])
    assert np.all(bias[unused:])


def test_a_batch_without_rows_has_no_error() -> None:
    x, v, mask = tf.zeros([2, 0, WIDTH]), tf.zeros([0, 12, DIM]), tf.zeros([0, 12], tf.bool)
    assert [float(error) for error in real_step_errors(x, layer_of(12), v, mask, "sum")] == [0.0, 0.0]
