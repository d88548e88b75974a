"""||D(x) - v||² over the real steps of histories: padding is neither computed nor compared."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Tensor

#: Steps whose products are computed together (ours): fewer waste less on padding, more make larger products.
STEPS_AT_ONCE = 10


def real_step_errors(x: Tensor, last: Any, v: Tensor, mask: Tensor, reduction: str) -> list[Tensor]:
    """Mean over the batch of Σ ||W x + b - v_i||² over the real steps v_i, one number for each of a user's codes.

    Histories are sorted by length, so that the products of a block of steps take only the first rows. On several
    replicas, each computes its share.

    Args:
        x: [codes, B, n], inputs of the linear layer.
        last: the linear layer, with n_v · d outputs.
        v: [B, n_v, d], most recent step last.
        mask: [B, n_v] bool, the real steps: the last ones of each row.
        reduction: "sum", or "mean" to divide the sum of each row by its numbers of real steps and dimensions.
    """
    n_v, dim = v.shape[1:]
    codes, batch_size = x.shape[0], distribute.global_row_count(v)
    lengths = tf.where(tf.reduce_any(mask, axis=1), n_v - tf.argmax(mask, axis=1, output_type=tf.int32), 0)
    longest_first = tf.argsort(lengths, direction="DESCENDING", stable=True)
    x, v, mask = tf.gather(x, longest_first, axis=1), tf.gather(v, longest_first), tf.gather(mask, longest_first)
    weights = tf.cast(mask, v.dtype)
    if reduction == "mean":
        weights /= tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1) * dim
    total = tf.zeros([codes], v.dtype)
    steps_after = n_v
    for block in _blocks(last, v, weights):
        steps_after -= block.truth.shape[1]
        # The users whose histories reach this block: they have more steps than come after it.
        rows = tf.math.count_nonzero(lengths > steps_after, dtype=tf.int32)
        inputs = tf.reshape(x[:, :rows], [-1, x.shape[2]])
        outputs = tf.cast(tf.matmul(inputs, block.kernel) + block.bias, v.dtype)
        truth, weight = block.truth[None, :rows], block.weights[None, :rows]
        errors = tf.math.squared_difference(tf.reshape(outputs, [codes, rows, truth.shape[2], dim]), truth)
        total += tf.reduce_sum(tf.reduce_sum(errors, axis=3) * weight, axis=[1, 2])
    return tf.unstack(tf.math.divide_no_nan(total, tf.cast(batch_size, v.dtype)))


class _Block(NamedTuple):
    """Some consecutive steps of all histories, and the part of the linear layer that generates them."""

    kernel: Tensor
    """[n, steps · d]"""
    bias: Tensor
    """[steps · d]"""
    truth: Tensor
    """[B, steps, d]"""
    weights: Tensor
    """[B, steps]"""


def _blocks(last: Any, v: Tensor, weights: Tensor) -> list[_Block]:
    """The steps in blocks of STEPS_AT_ONCE, the oldest first; a smaller block is the first, which is mostly padding."""
    n_v, dim = v.shape[1:]
    blocks, rest = divmod(n_v, STEPS_AT_ONCE)
    sizes = [*([rest] if rest else []), *[STEPS_AT_ONCE] * blocks]
    # One split each: the gradient of a slice would be as large as the whole kernel.
    kernels, biases = (
        tf.split(tf.cast(w.value, last.compute_dtype), [size * dim for size in sizes], axis=-1)
        for w in (last.kernel, last.bias)
    )
    truths, weights_of_steps = (tf.split(y, sizes, axis=1) for y in (v, weights))
    return [_Block(*parts) for parts in zip(kernels, biases, truths, weights_of_steps, strict=True)]
