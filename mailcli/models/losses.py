"""The losses of MAIL: reconstruction (3)-(4), MMD (5)-(6), clicks (13).

Losses over old users only are 0 in a batch without old users. On several replicas, each computes its share
(models/distribute.py); the shares add up to the loss of the whole batch.
"""

from __future__ import annotations

import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Features, Tensor


def squared_error(reconstruction: Tensor, truth: Tensor, reduction: str) -> Tensor:
    """||x̂ - x||² of each row, averaged over the batch: one term of MAIL Eqs. (3)-(4).

    Args:
        reconstruction, truth: [B, n].
        reduction: "mean" divides by n, as the published code does; "sum" does not, as the formula is written.
    """
    rows = tf.reduce_sum(tf.math.squared_difference(tf.cast(reconstruction, truth.dtype), truth), axis=1)
    if reduction == "mean":
        rows /= tf.cast(tf.shape(truth)[1], rows.dtype)
    return _mean_or_zero(rows)


def squared_lengths(features: Features) -> Tensor:
    """Σ_f ||e_f||² over the attributes, context and target of each impression, averaged over the batch."""
    fields = tf.concat([features.attributes, features.context, features.target], axis=1)
    return distribute.mean_share(tf.reduce_sum(tf.square(fields), axis=[1, 2]))


def gaussian_nll(reconstruction: Tensor, truth: Tensor) -> Tensor:
    """-log N(x; x̂, σ² I) of each row without its constant, averaged over the batch: n/2 (||x̂ - x||² / (n σ²) + log σ²).

    σ² is the batch's own mean squared error, the variance that makes this smallest (σ-VAE, Rybkin et al., ICML 2021,
    Sec. 4.3). So a variational autoencoder is balanced whatever the scale of its data: with a fixed variance, the
    reconstruction of embeddings far below 1 weighs nothing against the KL divergence, and the latent code collapses.

    Args:
        reconstruction, truth: [B, n].
    """
    error = squared_error(reconstruction, truth, "mean")
    # Above 0 (ours), so that its logarithm is finite without old users in the batch, where the result is 0.
    variance = tf.maximum(tf.stop_gradient(distribute.all_reduce_sum(error)), 1e-12)
    rows = tf.cast(tf.shape(truth)[0], error.dtype)
    share = tf.math.divide_no_nan(rows, tf.cast(distribute.global_row_count(truth), error.dtype))
    return truth.shape[1] / 2 * (error / variance + share * tf.math.log(variance))


def adaptive_sigma(p: Tensor, q: Tensor) -> Tensor:
    """σ with 2σ² = the mean squared distance between rows of p and q pooled, a scalar without a gradient.

    With a fixed σ, the kernel is near 1 for all codes that are much closer than σ and near 0 for all that are much
    farther apart; in both cases its gradient vanishes. Gretton et al. (JMLR 13, 2012) use the median distance; the mean
    has a closed form, twice the variance.

    Args:
        p, q: [B, d_h].
    """
    # Messages between replicas cannot be bfloat16.
    both = tf.stop_gradient(tf.concat([distribute.all_gather(tf.cast(code, tf.float32)) for code in (p, q)], axis=0))
    variance = tf.reduce_sum(tf.math.reduce_variance(both, axis=0))
    # If all codes are equal, any σ will do.
    return tf.sqrt(tf.where(variance > 0, variance, 1.0))


def mmd2(p: Tensor, q: Tensor, sigma: float | Tensor) -> Tensor:
    """MMD² = mean k(p_i, p_j) + mean k(q_i, q_j) - 2 mean k(p_i, q_j), k Gaussian: MAIL Eqs. (5)-(6).

    The means are over all pairs, i = j included (the biased form, never negative).

    Args:
        p, q: [B, d_h].
        sigma: σ of the kernel.
    """
    # bfloat16 would keep two digits of the distance between close codes.
    p, q = (tf.cast(code, tf.float32) if code.dtype == tf.bfloat16 else code for code in (p, q))
    # A replica computes its rows of each matrix of pairs, over the columns of all replicas.
    all_p, all_q = distribute.all_gather(p), distribute.all_gather(q)
    return _mean_kernel(p, all_p, sigma) + _mean_kernel(q, all_q, sigma) - 2 * _mean_kernel(p, all_q, sigma)


def _mean_kernel(x: Tensor, y: Tensor, sigma: float | Tensor) -> Tensor:
    """Mean of exp(-||x_i - y_j||² / (2σ²)), as ||x||² + ||y||² - 2xᵀy, so that no [B, B, d_h] is built."""
    norms = tf.reduce_sum(x * x, axis=1)[:, None] + tf.reduce_sum(y * y, axis=1)[None, :]
    distance = tf.maximum(norms - 2 * tf.matmul(x, y, transpose_b=True), 0.0)
    kernel = tf.exp(-distance / (2 * sigma**2))
    # As floats: the number of pairs of a large batch exceeds int32.
    rows, columns = (tf.cast(count, kernel.dtype) for count in (distribute.global_row_count(x), tf.shape(y)[0]))
    return tf.math.divide_no_nan(tf.reduce_sum(kernel), rows * columns)


def click_loss(click: Tensor, logit: Tensor) -> Tensor:
    """Mean binary cross-entropy over a batch's impressions, of new and old users: L_rt of MAIL Eq. (13).

    Args:
        click: [B], 0 or 1.
        logit: [B], before the sigmoid.
    """
    return distribute.mean_share(tf.nn.sigmoid_cross_entropy_with_logits(labels=click, logits=logit))


def ctcvr_loss(conversion: Tensor, click_logit: Tensor, conversion_logit: Tensor) -> Tensor:
    """Mean binary cross-entropy of pCTCVR = pCTR · pCVR, over all impressions (ESMM Eq. (2), Ma et al., SIGIR 2018).

    Args:
        conversion: [B], 0 or 1: clicked and then converted.
        click_logit, conversion_logit: [B], before the sigmoids.
    """
    log_p = tf.math.log_sigmoid(click_logit) + tf.math.log_sigmoid(conversion_logit)
    # Near p = 1, rounding loses 1 - p; with log p bounded away from 0 (ours) the gradient stays finite.
    log_complement = tf.math.log(-tf.math.expm1(tf.minimum(log_p, -1e-7)))
    return -distribute.mean_share(conversion * log_p + (1 - conversion) * log_complement)


def kl_divergence(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(prior)) of each row for diagonal Gaussians, averaged over the batch.

    ½ Σ [log σ_p² - log σ² - 1 + (σ² + (μ - μ_p)²) / σ_p²]

    Args:
        mean, log_variance, prior_mean, prior_log_variance: [B, n].
    """
    ratio = (tf.exp(log_variance) + tf.math.squared_difference(mean, prior_mean)) / tf.exp(prior_log_variance)
    rows = 0.5 * tf.reduce_sum(prior_log_variance - log_variance - 1 + ratio, axis=1)
    return _mean_or_zero(rows)


def _mean_or_zero(rows: Tensor) -> Tensor:
    """The mean of rows [B], 0 if there are none; on several replicas, this replica's share."""
    return tf.math.divide_no_nan(tf.reduce_sum(rows), tf.cast(distribute.global_row_count(rows), rows.dtype))
