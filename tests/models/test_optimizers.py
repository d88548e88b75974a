"""SparseAdam against Keras' Adam, and row by row against the formula."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.optimizers import DenseAdam, SparseAdam, future_sums, global_norm, sum_duplicates

RATE, BETA_1, BETA_2, EPSILON = 0.01, 0.9, 0.999, 1e-8


def variable(rows: int = 5) -> keras.Variable:
    return keras.Variable(np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32))


def gradient_of_rows(rows: list[int], seed: int) -> tf.IndexedSlices:
    """A gradient like that of tf.gather."""
    values = np.random.default_rng(seed).normal(size=(len(rows), 3)).astype(np.float32)
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([5, 3]))


def test_equals_keras_adam_when_all_rows_are_in_every_batch() -> None:
    ours, theirs = variable(), variable()
    sparse, dense = SparseAdam(RATE, epsilon=EPSILON), keras.optimizers.Adam(RATE, epsilon=EPSILON)
    for step in range(100):
        gradient = gradient_of_rows([4, 0, 0, 3, 1, 2, 4, 2, 2], step)
        sparse.apply([gradient], [ours])
        dense.apply([tf.convert_to_tensor(gradient)], [theirs])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for moment, dense_moment in zip(sparse.variables[2:4], dense.variables[2:4], strict=True):
        np.testing.assert_allclose(moment, dense_moment, rtol=1e-5, atol=1e-7)


def test_dense_adam_sums_the_values_of_a_row_that_occurs_twice() -> None:
    ours, theirs = variable(), variable()
    rows, whole = DenseAdam(RATE, epsilon=EPSILON), keras.optimizers.Adam(RATE, epsilon=EPSILON)
    for step in range(100):
        gradient = gradient_of_rows([4, 0, 0, 3] if step % 2 else [0, 2, 2, 2], step)
        rows.apply([gradient], [ours])
        whole.apply([tf.convert_to_tensor(gradient)], [theirs])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours[1], variable()[1])


def test_moves_the_rows_of_the_batch_by_the_formula_and_no_others() -> None:
    """Rows 1 and 0 once, row 3 in steps 1 and 3."""
    batches = [([1, 3, 1], 1), ([0], 2), ([3, 3], 3)]
    w = variable()
    expected = np.asarray(w, np.float64).copy()
    m, v = np.zeros((5, 3)), np.zeros((5, 3))
    optimizer = SparseAdam(RATE, epsilon=EPSILON)

    def alpha(t: int) -> float:
        return float(RATE * np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t))

    for t, (rows, seed) in enumerate(batches, start=1):
        gradient = gradient_of_rows(rows, seed)
        optimizer.apply([gradient], [w])
        for row in set(rows):
            g = sum(gradient.values.numpy()[k].astype(np.float64) for k, index in enumerate(rows) if index == row)
            if (row, t) == (3, 3):
                # What it missed in step 2.
                expected[3] -= alpha(2) * (BETA_1 / np.sqrt(BETA_2)) * m[3] / (np.sqrt(v[3]) + EPSILON)
                m[3], v[3] = BETA_1 * m[3], BETA_2 * v[3]
            m[row] = BETA_1 * m[row] + (1 - BETA_1) * g
            v[row] = BETA_2 * v[row] + (1 - BETA_2) * g**2
            expected[row] -= alpha(t) * m[row] / (np.sqrt(v[row]) + EPSILON)
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-6)
    for untouched in (2, 4):
        np.testing.assert_array_equal(w[untouched], variable()[untouched])
    moments = [np.asarray(moment) for moment in optimizer.variables[2:4]]
    assert not any(moment[[2, 4]].any() for moment in moments)
    assert all(moment[[0, 1, 3]].all() for moment in moments)


def test_catching_up_in_parts_is_catching_up_at_once() -> None:
    results = []
    for settled in ((), (2, 3, 30)):
        w, optimizer = variable(), SparseAdam(RATE, epsilon=EPSILON)
        for step in range(40):
            optimizer.apply([gradient_of_rows([0, 1] if step == 0 else [0], step)], [w])
            if step in settled:
                optimizer.catch_up()
        optimizer.catch_up()
        results.append(np.array(w))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-7)


def test_the_sum_of_future_factors_by_hand() -> None:
    sums = future_sums(0.9, 0.999)
    ratio = 0.9 / np.sqrt(0.999)
    factors = [np.sqrt(1 - 0.999**t) / (1 - 0.9**t) for t in range(1, 2000)]
    assert sums[0] == pytest.approx(sum(ratio**t * factor for t, factor in enumerate(factors, start=1)), rel=1e-9)
    assert sums[500] == pytest.approx(sum(ratio**j * factors[499 + j] for j in range(1, 1000)), rel=1e-9)
    assert sums[-1] == pytest.approx(ratio / (1 - ratio))


@pytest.mark.parametrize("every", [*(pytest.param(every, marks=pytest.mark.slow) for every in (1, 7)), 50])
def test_rare_rows_end_where_adam_moves_them(every: int) -> None:
    """Row 0 in every step, row 1 in one of `every`, rows 2 and 3 by chance, row 4 never."""
    ours, theirs = variable(), variable()
    start = np.array(ours)
    sparse, dense = SparseAdam(RATE, epsilon=EPSILON), keras.optimizers.Adam(RATE, epsilon=EPSILON)
    rng = np.random.default_rng(every)
    for step in range(320):
        rows = [0, *([1] if step % every == 0 else []), *(row for row in (2, 3) if rng.random() < 0.1)]
        gradient = gradient_of_rows(rows, step)
        gradient = tf.IndexedSlices(gradient.values + 0.5, gradient.indices, gradient.dense_shape)
        sparse.apply([gradient], [ours])
        dense.apply([tf.convert_to_tensor(gradient)], [theirs])
    behind = np.abs(np.asarray(ours) - np.asarray(theirs))[1].max()
    expected = np.asarray(ours) + sparse.outstanding(ours, tf.range(5)).numpy()
    sparse.catch_up()
    np.testing.assert_allclose(ours, expected, atol=1e-7)
    # Within rounding; before, row 1 was behind.
    after = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
    assert after < 1e-4 * np.abs(np.asarray(theirs) - start).max()
    assert every == 1 or behind > 100 * after
    for moment, dense_moment in zip(sparse.variables[2:4], dense.variables[2:4], strict=True):
        np.testing.assert_allclose(moment, dense_moment, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(ours[4], start[4])
    # Nothing is outstanding any more.
    once = np.array(ours)
    sparse.catch_up()
    np.testing.assert_array_equal(ours, once)


@pytest.mark.parametrize("as_graph", [False, True])
def test_a_whole_gradient_is_keras_adam(as_graph: bool) -> None:
    ours, theirs = variable(), variable()
    optimizers = [SparseAdam(RATE, epsilon=EPSILON), keras.optimizers.Adam(RATE, epsilon=EPSILON)]
    for optimizer, w in zip(optimizers, (ours, theirs), strict=True):
        optimizer.build([w])
        step = partial(optimizer.apply, trainable_variables=[w])
        run = tf.function(lambda g, step=step: step([g])) if as_graph else lambda g, step=step: step([g])
        for number in range(20):
            run(tf.constant(np.random.default_rng(number).normal(size=(5, 3)), tf.float32))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_vector_of_weights_has_rows_too() -> None:
    w = keras.Variable(np.zeros(4, np.float32))
    gradient = tf.IndexedSlices(tf.constant([1.0, 2.0, 4.0]), tf.constant([2, 0, 2]), tf.constant([4]))
    SparseAdam(RATE, epsilon=EPSILON).apply([gradient], [w])
    # Adam's first step has the size of the rate and the direction of the sign.
    np.testing.assert_allclose(w, [-RATE, 0, -RATE, 0], rtol=1e-5)


def test_duplicates_are_summed_by_hand() -> None:
    values = tf.constant([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]])
    rows, summed = sum_duplicates(tf.IndexedSlices(values, tf.constant([7, 2, 7])))
    np.testing.assert_array_equal(rows, [7, 2])
    np.testing.assert_array_equal(summed, [[11, 22], [3, 4]])
    rows, summed = sum_duplicates(tf.IndexedSlices(values, tf.constant([9, 1, 4])))
    np.testing.assert_array_equal(rows, [9, 1, 4])
    np.testing.assert_array_equal(summed, values)


def test_a_row_that_occurs_twice_counts_once_in_the_norm() -> None:
    """√(0² + 6² + 8²); counted separately it would be √(4·3² + 8²)."""
    rows = tf.IndexedSlices(tf.constant([[3.0, 3.0], [-3.0, 3.0], [0.0, 0.0]]), tf.constant([5, 5, 1]))
    assert float(global_norm([rows, None, tf.constant([8.0])])) == pytest.approx(10)
