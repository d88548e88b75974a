"""Sums of rows against plain loops, and their gradients against TensorFlow's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.models.sparse_ops import bag_sum, gather_masked, gather_rows, scatter_masked, scatter_sum

ROWS = tf.constant([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])


def test_a_bag_is_the_sum_of_its_rows_by_hand() -> None:
    sums = bag_sum(ROWS, tf.constant([0, 0, 2, 2, 2], tf.int64), tf.constant([0, 2, 1, 1, 0]), tf.constant(4, tf.int64))
    np.testing.assert_array_equal(sums, [[4, 40], [0, 0], [5, 50], [0, 0]])


def test_values_are_summed_at_their_places_by_hand() -> None:
    np.testing.assert_array_equal(
        scatter_sum(ROWS, tf.constant([3, 0, 3]), 5), [[2, 20], [0, 0], [0, 0], [4, 40], [0, 0]]
    )


def test_spread_and_collect_are_inverse_by_hand() -> None:
    mask = tf.constant([[False, True, True], [False, False, False], [True, False, False]])
    dense = scatter_masked(ROWS, mask)
    np.testing.assert_array_equal(dense[:, :, 0], [[0, 1, 2], [0, 0, 0], [3, 0, 0]])
    np.testing.assert_array_equal(gather_masked(dense, mask), ROWS)


def test_nothing_is_no_special_case() -> None:
    empty = tf.zeros([0], tf.int64)
    np.testing.assert_array_equal(bag_sum(ROWS, empty, empty, tf.constant(2, tf.int64)), np.zeros((2, 2)))
    assert scatter_sum(ROWS[:0], empty, 0).shape == (0, 2)
    assert gather_masked(tf.ones([2, 3, 4]), tf.zeros([2, 3], tf.bool)).shape == (0, 4)
    np.testing.assert_array_equal(scatter_masked(ROWS[:0], tf.zeros([2, 3], tf.bool)), np.zeros((2, 3, 2)))


def _pair(name: str, rng: np.random.Generator) -> tuple[Callable, Callable, tf.Tensor]:
    """One of our functions, the same with TensorFlow's own operations, and an input."""
    rows = tf.constant(rng.normal(size=(6, 3)), tf.float32)
    indices = tf.constant(rng.integers(0, 6, 20))
    bags = tf.constant(np.sort(rng.integers(0, 5, 20)))
    mask = tf.constant(rng.random((4, 5)) < 0.5)
    real = int(np.count_nonzero(mask))
    if name == "bag_sum":
        count = tf.constant(5, tf.int64)
        theirs = partial(tf.math.unsorted_segment_sum, segment_ids=bags, num_segments=5)
        return lambda x: bag_sum(x, bags, indices, count), lambda x: theirs(tf.gather(x, indices)), rows
    if name == "gather_rows":
        square = tf.reshape(indices, [4, 5])
        return lambda x: gather_rows(x, square), lambda x: tf.gather(x, square), rows
    if name == "scatter_sum":
        values = tf.constant(rng.normal(size=(20, 3)), tf.float32)
        return lambda x: scatter_sum(x, indices, 6), lambda x: tf.math.unsorted_segment_sum(x, indices, 6), values
    if name == "gather_masked":
        dense = tf.constant(rng.normal(size=(4, 5, 3)), tf.float32)
        return lambda x: gather_masked(x, mask), lambda x: tf.boolean_mask(x, mask), dense
    values = tf.constant(rng.normal(size=(real, 3)), tf.float32)
    return lambda x: scatter_masked(x, mask), lambda x: tf.scatter_nd(tf.where(mask), x, (4, 5, 3)), values


@pytest.mark.parametrize("name", ["bag_sum", "gather_rows", "scatter_sum", "gather_masked", "scatter_masked"])
@pytest.mark.parametrize("as_graph", [False, True])
def test_value_and_two_derivatives_are_those_of_tensorflow(name: str, as_graph: bool) -> None:
    ours, theirs, x = _pair(name, np.random.default_rng(7))

    def derivatives(function: Callable, x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = function(x)
                loss = tf.reduce_sum(value**3)
            first = tf.convert_to_tensor(inner.gradient(loss, x))
            curved = tf.reduce_sum(first**2)
        return [value, first, tf.convert_to_tensor(outer.gradient(curved, x))]

    run = tf.function(derivatives) if as_graph else derivatives
    for actual, expected in zip(run(ours, x), run(theirs, x), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=20))
def test_bags_are_sums_whatever_they_hold(entries: list[tuple[int, int]]) -> None:
    entries.sort()
    bags, indices = (tf.constant([entry[k] for entry in entries], tf.int64) for k in (0, 1))
    expected = np.zeros((4, 2))
    for bag, index in entries:
        expected[bag] += [index + 1, 10 * (index + 1)]
    np.testing.assert_array_equal(bag_sum(ROWS, bags, indices, tf.constant(4, tf.int64)), expected)


def test_the_same_sum_has_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    values = tf.constant(rng.normal(size=(50_000, 8)), tf.float32)
    indices = tf.constant(rng.integers(0, 300, 50_000))
    sums = scatter_sum(values, indices, 300).numpy()
    assert all((scatter_sum(values, indices, 300).numpy() == sums).all() for _ in range(20))
