"""The losses of MAIL: reconstruction (3)-(4), MMD (5)-(6), clicks (13). Each is 0 for a batch without rows."""

from __future__ import annotations

import tensorflow as tf

from mailcli.contracts import Tensor


def squared_error(reconstruction: Tensor, truth: Tensor, reduction: str) -> Tensor:
    """||x̂ - x||² of each row, averaged over the batch: one term of MAIL Eqs. (3)-(4).

    Args:
        reconstruction, truth: [B, n].
        reduction: "mean" divides by n, as the published code does; "sum" is the formula's letter.
    """
    rows = tf.reduce_sum(tf.math.squared_difference(reconstruction, truth), axis=1)
    if reduction == "mean":
        rows /= tf.cast(tf.shape(truth)[1], rows.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(rows), tf.cast(tf.shape(rows)[0], rows.dtype))


def mmd2(p: Tensor, q: Tensor, sigma: float) -> Tensor:
    """MMD² = mean k(p_i, p_j) + mean k(q_i, q_j) - 2 mean k(p_i, q_j), k Gaussian: MAIL Eqs. (5)-(6).

    The means are over all pairs, i = j included (the biased form, never negative).

    Args:
        p, q: [B, d_h].
        sigma: σ of the kernel.
    """
    return _mean_kernel(p, p, sigma) + _mean_kernel(q, q, sigma) - 2 * _mean_kernel(p, q, sigma)


def _mean_kernel(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """Mean of exp(-||x_i - y_j||² / (2σ²)), by ||x||² + ||y||² - 2xᵀy, so that no [B, B, d_h] is built."""
    norms = tf.reduce_sum(x * x, axis=1)[:, None] + tf.reduce_sum(y * y, axis=1)[None, :]
    distance = tf.maximum(norms - 2 * tf.matmul(x, y, transpose_b=True), 0.0)
    kernel = tf.exp(-distance / (2 * sigma**2))
    return tf.math.divide_no_nan(tf.reduce_sum(kernel), tf.cast(tf.size(kernel), kernel.dtype))


def click_loss(click: Tensor, logit: Tensor) -> Tensor:
    """Mean binary cross-entropy over all users, L_rt of MAIL Eq. (13).

    Args:
        click: [B], 0 or 1.
        logit: [B], before the sigmoid.
    """
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=click, logits=logit))
