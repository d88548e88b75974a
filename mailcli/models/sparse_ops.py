"""Rows gathered, summed and put in place on a CPU: what TensorFlow's own gradients and segment sums are slow at.

Sums are products with sparse matrices of ones: ten times as fast, and summed in the order of the entries, so that the
same call gives the same bits.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import ops

from mailcli.models.features import Tensor


def forget_gradients() -> None:
    """Let go of the graphs that were made.

    TensorFlow registers a custom gradient for ever, with all that it refers to: in the graph of a training step, the
    model. The registration is needed while a graph is being made; call this between them.
    """
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]


def bag_sum(rows: Tensor, bags: Tensor, places: Tensor, count: Tensor) -> Tensor:
    """Σ of the rows that each bag holds.

    Args:
        rows: [U, d].
        bags: [N] int64, ascending, the bag of each entry.
        places: [N], its row.
        count: int64, how many bags there are.

    Returns:
        [count, d], zeros for an empty bag.
    """
    return _Ones(bags, places, count, tf.shape(rows, tf.int64)[0]).times(rows)


def gather_rows(rows: Tensor, places: Tensor) -> Tensor:
    """tf.gather of rows [U, d] at places of any shape, with a quicker gradient: `sum_at`."""

    @tf.custom_gradient
    def gathered(x: Tensor) -> Tensor:
        flat, width = tf.reshape(places, [-1]), x.shape[1]
        return tf.gather(x, places), lambda upstream: sum_at(tf.reshape(upstream, [-1, width]), flat, tf.shape(x)[0])

    return gathered(rows)


def sum_at(values: Tensor, places: Tensor, count: Tensor) -> Tensor:
    """[count, d], at each place the sum of the values [N, d] that belong there; `places` [N] tells which do."""
    entries = tf.shape(places, tf.int64)[0]
    return _Ones(tf.range(entries), places, entries, count).transposed_times(values)


class _Ones:
    """A sparse matrix [height, width] of ones, in compressed rows; `lines` [N] ascend."""

    def __init__(self, lines: Tensor, columns: Tensor, height: Tensor, width: Tensor) -> None:
        # Turned, because stacking in pairs is slower.
        at = tf.transpose(tf.stack([lines, tf.cast(columns, tf.int64)]))
        shape = tf.stack([tf.cast(height, tf.int64), tf.cast(width, tf.int64)])
        self._matrix = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=at, values=tf.ones(tf.shape(lines)), dense_shape=shape
        )

    def times(self, dense: Tensor) -> Tensor:
        """M x of x [width, d]."""

        @tf.custom_gradient
        def product(x: Tensor) -> Tensor:
            return _product(self._matrix, x), self.transposed_times

        return product(dense)

    def transposed_times(self, dense: Tensor) -> Tensor:
        """Mᵀ x of x [height, d]."""

        @tf.custom_gradient
        def product(x: Tensor) -> Tensor:
            # Not `transpose_a`: its threads add to one result as they come, so the last bits differ from call to call.
            transposed = tf.raw_ops.SparseMatrixTranspose(input=self._matrix, type=tf.float32)
            return _product(transposed, x), self.times

        return product(dense)


def _product(matrix: Tensor, x: Tensor) -> Tensor:
    """In float32, the type of the matrix; many small numbers add up better in it, too."""
    return tf.cast(tf.raw_ops.SparseMatrixMatMul(a=matrix, b=tf.cast(x, tf.float32)), x.dtype)


def collect(dense: Tensor, mask: Tensor) -> Tensor:
    """[M, d], what x [B, n, d] holds where the mask [B, n] is true, in order. Its gradient is `spread`."""

    @tf.custom_gradient
    def collected(x: Tensor) -> Tensor:
        return tf.gather_nd(x, tf.where(mask)), lambda upstream: spread(upstream, mask)

    return collected(dense)


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """[B, n, d], the values [M, d] where the mask [B, n] is true, zeros elsewhere. Its gradient is `collect`."""

    @tf.custom_gradient
    def in_place(x: Tensor) -> Tensor:
        ones = tf.reshape(tf.cast(mask, tf.int32), [-1])
        # Row 0 is what a false place gets.
        place = tf.reshape(tf.cumsum(ones) * ones, tf.shape(mask))
        return tf.gather(tf.pad(x, [[1, 0], [0, 0]]), place), lambda upstream: collect(upstream, mask)

    return in_place(values)
