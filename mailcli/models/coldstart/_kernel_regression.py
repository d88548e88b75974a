"""Kernel regression of behavior on attributes (Nadaraya, 1964), with weights that are learned by leaving users out."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mailcli.models.features import Tensor

#: Users whose behavior is predicted from that of the others in a step (ours).
USERS_PER_STEP = 256
#: Adam's learning rate for the weights' logarithms (ours): in 200 steps a weight can grow to e^10, and with one of ten
#: already, users with different values have nothing in common.
LEARNING_RATE = 0.05

KernelOf = Callable[[Tensor, Tensor], Tensor]
"""Indices of users [B] and weights of attributes [F] -> how much they have in common with each user, [B, R]."""


def regress(kernel: Tensor, sums: Tensor, counts: Tensor, mean: Tensor, prior_weight: Tensor) -> Tensor:
    """Mean steps x = (Σ_k K_k s_k + κ x̄) / (Σ_k K_k n_k + κ), [B, d].

    Args:
        kernel: [B, R], K.
        sums: [R, d], the sums of the steps of R reference users.
        counts: [R], how many steps each has; 0 for a row without a user.
        mean: [d], x̄.
        prior_weight: κ, pseudo-count of the prior mean.
    """
    total = tf.linalg.matvec(kernel, counts) + prior_weight
    return (tf.matmul(kernel, sums) + prior_weight * mean) / total[:, None]


def fit_weights(
    kernel_of: KernelOf,
    fields: int,
    sums: Tensor,
    counts: Tensor,
    mean: Tensor,
    steps: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """The weights of the attributes [F], and κ: they minimize the squared error of mean steps.

    Each user's mean step is predicted from the other users.

    Args:
        kernel_of: the kernel.
        fields: F.
        sums, counts, mean: as for `regress`, without unused rows.
        steps: of Adam; all weights are one before.
        rng: draws the users of each step.
    """
    # Logarithms, so that the weights stay positive.
    logs = [tf.Variable(tf.zeros(shape)) for shape in ((fields,), ())]
    truth = sums / counts[:, None]
    # Above 0 (ours), so that the loss is finite where all are the mean.
    scale = tf.reduce_mean(tf.reduce_sum((truth - mean) ** 2, axis=1)) + 1e-12
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    users = len(counts)

    @tf.function
    def step(chosen: Tensor) -> None:
        with tf.GradientTape() as tape:
            weights, prior_weight = (tf.exp(log) for log in logs)
            kernel = kernel_of(chosen, weights) * (1 - tf.one_hot(chosen, users))
            predicted = regress(kernel, sums, counts, mean, prior_weight)
            errors = tf.reduce_sum((predicted - tf.gather(truth, chosen)) ** 2, axis=1)
            loss = tf.reduce_mean(errors) / scale
        optimizer.apply_gradients(zip(tape.gradient(loss, logs), logs, strict=True))

    for _ in range(steps):
        step(tf.constant(rng.choice(users, min(USERS_PER_STEP, users), replace=False), tf.int32))
    return tf.exp(logs[0]), tf.exp(logs[1])
