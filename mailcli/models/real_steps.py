"""||D(x) - v||² over the real steps of histories: what is padding is neither computed nor compared."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Tensor

#: Steps whose products are computed together (ours): fewer waste less on padding, more make larger products.
STEPS_AT_ONCE = 10


def real_step_errors(x: Tensor, last: Any, v: Tensor, mask: Tensor, reduction: str) -> list[Tensor]:
    """Mean over the batch of Σ ||W x + b - v_i||² over the real steps v_i, one number for each code of a user.

    Histories are sorted by length, so that the products of a block of steps take only the first rows. On several
    replicas, each computes its share.

    Args:
        x: [codes, B, n], inputs of the linear layer.
        last: the linear layer, with n_v · d outputs.
        v: [B, n_v, d], most recent step last.
        mask: [B, n_v] bool, the real steps.
        reduction: "sum", or "mean" to divide the sum of each row by its numbers of real steps and dimensions.
    """
    n_v, dim = v.shape[1:]
    codes, batch_size = x.shape[0], distribute.global_row_count(v)
    lengths = tf.where(tf.reduce_any(mask, axis=1), n_v - tf.argmax(mask, axis=1, output_type=tf.int32), 0)
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    x, v, real, lengths = tf.gather(x, order, axis=1), *(tf.gather(y, order) for y in (v, mask, lengths))
    weights = tf.cast(real, v.dtype)
    if reduction == "mean":
        weights /= tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1) * dim
    # From the last block to the first, since padding comes first.
    sizes = [n_v % STEPS_AT_ONCE] * (n_v % STEPS_AT_ONCE > 0) + [STEPS_AT_ONCE] * (n_v // STEPS_AT_ONCE)
    kernel, bias = (tf.cast(w.value, last.compute_dtype) for w in (last.kernel, last.bias))
    blocks = zip(
        tf.split(kernel, [size * dim for size in sizes], axis=1),
        tf.split(bias, [size * dim for size in sizes], axis=0),
        tf.split(v, sizes, axis=1),
        tf.split(weights, sizes, axis=1),
        (n_v - sum(sizes[: number + 1]) for number in range(len(sizes))),
        strict=True,
    )
    total = tf.zeros([codes], v.dtype)
    for block_kernel, block_bias, truth, weight, later_steps in blocks:
        rows = tf.math.count_nonzero(lengths > later_steps, dtype=tf.int32)
        inputs = tf.reshape(x[:, :rows], [-1, x.shape[2]])
        outputs = tf.cast(tf.matmul(inputs, block_kernel) + block_bias, v.dtype)
        errors = tf.math.squared_difference(tf.reshape(outputs, [codes, rows, truth.shape[1], dim]), truth[None, :rows])
        total += tf.reduce_sum(tf.reduce_sum(errors, axis=3) * weight[None, :rows], axis=[1, 2])
    return tf.unstack(tf.math.divide_no_nan(total, tf.cast(batch_size, v.dtype)))
