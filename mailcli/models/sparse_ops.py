"""Gathers, sums and scatters of rows on a CPU, where TensorFlow's own gradients and segment sums are slow.

Sums are products with sparse matrices of ones: ten times as fast, and added in the order of the entries, so that the
same call gives the same bits.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import ops

from mailcli.models.features import Tensor


def clear_custom_gradients() -> None:
    """Free the graphs of earlier models.

    TensorFlow keeps every custom gradient registered forever, with all it refers to: for one in the graph of a training
    step, the model. The registration is needed only while a graph is built; call this between graphs.
    """
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]


def bag_sum(rows: Tensor, bags: Tensor, indices: Tensor, count: Tensor) -> Tensor:
    """Σ of the rows in each bag.

    Args:
        rows: [U, d].
        bags: [N] int64, ascending, the bag of each entry.
        indices: [N], the row of each entry.
        count: int64, the number of bags.

    Returns:
        [count, d], zeros for an empty bag.
    """
    return _OnesMatrix(bags, indices, count, tf.shape(rows, tf.int64)[0]).times(rows)


def gather_rows(rows: Tensor, indices: Tensor) -> Tensor:
    """tf.gather of rows [U, d] at indices of any shape, with a faster gradient: `scatter_sum`."""

    @tf.custom_gradient
    def gather(x: Tensor) -> Tensor:
        flat, width = tf.reshape(indices, [-1]), x.shape[1]
        return tf.gather(x, indices), lambda upstream: scatter_sum(
            tf.reshape(upstream, [-1, width]), flat, tf.shape(x)[0]
        )

    return gather(rows)


def scatter_sum(values: Tensor, indices: Tensor, count: Tensor) -> Tensor:
    """[count, d], in each row the sum of the values [N, d] whose index [N] it is."""
    entries = tf.shape(indices, tf.int64)[0]
    return _OnesMatrix(tf.range(entries), indices, entries, count).transposed_times(values)


class _OnesMatrix:
    """A sparse matrix [height, width] of ones at (lines, columns), in compressed rows; `lines` [N] must ascend."""

    def __init__(self, lines: Tensor, columns: Tensor, height: Tensor, width: Tensor) -> None:
        # Stacked and transposed, which is faster than stacking pairs.
        indices = tf.transpose(tf.stack([lines, tf.cast(columns, tf.int64)]))
        shape = tf.stack([tf.cast(height, tf.int64), tf.cast(width, tf.int64)])
        self._matrix = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=indices, values=tf.ones(tf.shape(lines)), dense_shape=shape
        )

    def times(self, dense: Tensor) -> Tensor:
        """M x for x [width, d]."""

        @tf.custom_gradient
        def product(x: Tensor) -> Tensor:
            return _product(self._matrix, x), self.transposed_times

        return product(dense)

    def transposed_times(self, dense: Tensor) -> Tensor:
        """Mᵀ x for x [height, d]."""

        @tf.custom_gradient
        def product(x: Tensor) -> Tensor:
            # Not `transpose_a`, whose threads add to one result in any order: the last bits differ from call to call.
            transposed = tf.raw_ops.SparseMatrixTranspose(input=self._matrix, type=tf.float32)
            return _product(transposed, x), self.times

        return product(dense)


def _product(matrix: Tensor, x: Tensor) -> Tensor:
    """The product in float32, the type of the matrix; long sums of small numbers need it as well."""
    return tf.cast(tf.raw_ops.SparseMatrixMatMul(a=matrix, b=tf.cast(x, tf.float32)), x.dtype)


def gather_masked(dense: Tensor, mask: Tensor) -> Tensor:
    """[M, d], the entries of x [B, n, d] where the mask [B, n] is true, in order. Its gradient is `scatter_masked`."""

    @tf.custom_gradient
    def gather(x: Tensor) -> Tensor:
        return tf.gather_nd(x, tf.where(mask)), lambda upstream: scatter_masked(upstream, mask)

    return gather(dense)


def scatter_masked(values: Tensor, mask: Tensor) -> Tensor:
    """[B, n, d], the values [M, d] where the mask [B, n] is true, zeros elsewhere. Its gradient is `gather_masked`."""

    @tf.custom_gradient
    def scatter(x: Tensor) -> Tensor:
        ones = tf.reshape(tf.cast(mask, tf.int32), [-1])
        # Row 0, the zeros that are padded on, is for the masked entries.
        index = tf.reshape(tf.cumsum(ones) * ones, tf.shape(mask))
        return tf.gather(tf.pad(x, [[1, 0], [0, 0]]), index), lambda upstream: gather_masked(upstream, mask)

    return scatter(values)
