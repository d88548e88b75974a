"""Neighbors: what old users with the same attributes do; attributes weigh as much as they tell about behavior."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mailcli.models.coldstart._virtual_steps import MeanStepMethod, assign_first_rows, reference_users, unit_fields
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Tensor

#: Users whose behavior is predicted from that of the others in a step of `fit` (ours).
USERS_PER_STEP = 256
#: Adam's learning rate for the weights' logarithms (ours): in 200 steps a weight can grow to e^10, and with one of ten
#: already, users with different values have nothing in common.
LEARNING_RATE = 0.05


class ColdStart(MeanStepMethod):
    """Neighbors (ours): behavior of the old users with the same attributes, by kernel regression (Nadaraya, 1964).

    x = (Σ_k K_k s_k + κ x̄) / (Σ_k K_k n_k + κ), K_k = exp(Σ_f w_f (cos_f - 1)). s_k is the sum of user k's n_k steps,
    so every behavior counts once; x̄ the mean step; cos_f the cosine of the new user's and user k's embeddings of
    attribute f, 1 where the values are the same. w_f and κ minimize the squared error of old users' mean steps, each
    predicted without the user. Unlike a linear map of attributes, a product of kernels knows what combinations mean.

    Args:
        references: at most this many old users are kept, sampled by the seed (ours: a few MB).
        steps: of Adam for w and κ (ours).
    """

    def __init__(self, references: int = 8192, steps: int = 200, **kwargs: Any) -> None:
        if references < 2:
            raise ValueError(f"`references` should be 2 or more. Received: {references}")
        if steps < 0:
            raise ValueError(f"`steps` should be 0 or more. Received: {steps}")
        super().__init__({"references": references, "steps": steps}, **kwargs)

    def make_weights(self, signature_size: int, dim: int) -> None:
        """Make room for the reference users; unused rows are zero."""
        rows = self.settings["references"]
        zeros: dict[str, Any] = {"initializer": "zeros", "trainable": False}
        self.keys = self.add_weight(shape=(rows, signature_size), name="keys", **zeros)
        self.sums = self.add_weight(shape=(rows, dim), name="sums", **zeros)
        self.counts = self.add_weight(shape=(rows,), name="counts", **zeros)
        self.mean = self.add_weight(shape=(dim,), name="mean", **zeros)
        ones: dict[str, Any] = {"initializer": "ones", "trainable": False}
        self.field_weights = self.add_weight(shape=(signature_size // dim,), name="field_weights", **ones)
        self.prior = self.add_weight(shape=(), name="prior", **ones)

    def fit(self, training: TrainingData) -> None:
        """Keep the attributes and behavior of the reference users, and learn which attributes tell about behavior."""
        features = reference_users(training, self.settings["references"])
        counts = tf.math.count_nonzero(features.behavior_mask, axis=1, dtype=tf.float32)
        keys = unit_fields(tf.cast(self.signature(features), tf.float32), self.field_weights.shape[0])
        sums = tf.cast(features.behavior_sum, tf.float32)
        for weight, rows in ((self.keys, keys), (self.sums, sums), (self.counts, counts)):
            assign_first_rows(weight, rows)
        self.mean.assign(tf.reduce_sum(sums, axis=0) / tf.reduce_sum(counts))
        if len(keys) > 1:
            self._fit_weights(keys, sums, counts, np.random.default_rng([training.seed, 2]))
        self.fit_lengths(training)

    def _fit_weights(self, keys: Tensor, sums: Tensor, counts: Tensor, rng: np.random.Generator) -> None:
        """Minimize the squared error of the mean steps, each predicted from the other users."""
        # Logarithms, so that the weights stay positive.
        logs = [tf.Variable(tf.zeros_like(weight.value)) for weight in (self.field_weights, self.prior)]
        steps = sums / counts[:, None]
        scale = tf.reduce_mean(tf.reduce_sum((steps - self.mean) ** 2, axis=1)) + 1e-12
        optimizer = keras.optimizers.Adam(LEARNING_RATE)
        size = min(USERS_PER_STEP, len(keys))

        @tf.function
        def step(users: Tensor) -> None:
            with tf.GradientTape() as tape:
                weights, prior = (tf.exp(log) for log in logs)
                others = 1 - tf.one_hot(users, len(keys))
                predicted = regress(tf.gather(keys, users), keys, sums, counts, self.mean.value, weights, prior, others)
                errors = tf.reduce_sum((predicted - tf.gather(steps, users)) ** 2, axis=1)
                loss = tf.reduce_mean(errors) / scale
            optimizer.apply_gradients(zip(tape.gradient(loss, logs), logs, strict=True))

        for _ in range(self.settings["steps"]):
            step(tf.constant(rng.choice(len(keys), size, replace=False), tf.int32))
        for weight, log in zip((self.field_weights, self.prior), logs, strict=True):
            weight.assign(tf.exp(log))

    def mean_step(self, signatures: Tensor) -> Tensor:
        """The mean steps of users with the same attributes."""
        query = unit_fields(tf.cast(signatures, tf.float32), self.field_weights.shape[0])
        parts = (self.keys, self.sums, self.counts, self.mean, self.field_weights, self.prior)
        return regress(query, *(part.value for part in parts))


def regress(
    query: Tensor,
    keys: Tensor,
    sums: Tensor,
    counts: Tensor,
    mean: Tensor,
    field_weights: Tensor,
    prior: Tensor,
    allowed: Tensor | None = None,
) -> Tensor:
    """x [B, d] by the formula of ColdStart.

    Args:
        query: [B, F d], attributes of new users, see `unit_fields`.
        keys: [R, F d], those of reference users.
        sums: [R, d], the sums of their steps.
        counts: [R], how many steps each has; 0 for a row without a user.
        mean: [d], x̄.
        field_weights: [F], w.
        prior: κ.
        allowed: [B, R], 1 for the reference users that may be used; None for all.
    """
    by_column = tf.repeat(field_weights, query.shape[1] // field_weights.shape[0])
    kernel = tf.exp(tf.matmul(query * by_column, keys, transpose_b=True) - tf.reduce_sum(field_weights))
    if allowed is not None:
        kernel *= allowed
    total = tf.linalg.matvec(kernel, counts) + prior
    return (tf.matmul(kernel, sums) + prior * mean) / total[:, None]
