"""Neighbors: what old users with the same attributes do; attributes weigh as much as they say about behavior."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from mailcli.data.seed_streams import REGRESSION_USERS
from mailcli.models.coldstart._generated_steps import MeanStepMethod, assign_first_rows, reference_users
from mailcli.models.coldstart._kernel_regression import fit_weights, regress
from mailcli.models.coldstart._signatures import unit_fields
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Tensor
from mailcli.utils.option_checks import check_least


class ColdStart(MeanStepMethod):
    """Neighbors (ours): behavior of the old users with the same attributes, by kernel regression (Nadaraya, 1964).

    x = (Σ_k K_k s_k + κ x̄) / (Σ_k K_k n_k + κ), K_k = exp(Σ_f w_f (cos_f - 1)). s_k is the sum of user k's n_k steps,
    so every behavior counts once; x̄ the mean step; cos_f the cosine of the new user's and user k's embeddings of
    attribute f, 1 where the values are the same. w_f and κ minimize the squared error of old users' mean steps, each
    predicted without the user. Unlike a linear map of attributes, a product of kernels knows what combinations mean.

    Args:
        references: at most this many old users are kept, sampled by the seed (ours: a few MB).
        steps: number of Adam steps that fit w and κ (ours).
    """

    def __init__(self, references: int = 8192, steps: int = 200, **kwargs: Any) -> None:
        check_least(2, references=references)
        check_least(0, steps=steps)
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
        self.prior_weight = self.add_weight(shape=(), name="prior", **ones)

    def fit(self, training: TrainingData) -> None:
        """Keep the attributes and behavior of the reference users, and learn how much each attribute says about it."""
        features = reference_users(training, self.settings["references"])
        counts = tf.math.count_nonzero(features.behavior_mask, axis=1, dtype=tf.float32)
        keys = unit_fields(tf.cast(self.signature(features), tf.float32), self.field_weights.shape[0])
        sums = tf.cast(features.behavior_sum, tf.float32)
        for weight, rows in ((self.keys, keys), (self.sums, sums), (self.counts, counts)):
            assign_first_rows(weight, rows)
        self.mean.assign(tf.reduce_sum(sums, axis=0) / tf.reduce_sum(counts))
        if len(keys) > 1:
            rng = np.random.default_rng([training.seed, REGRESSION_USERS])
            fields, steps = self.field_weights.shape[0], self.settings["steps"]

            def kernel_of(users: Tensor, weights: Tensor) -> Tensor:
                return kernel(tf.gather(keys, users), keys, weights)

            weights, prior_weight = fit_weights(kernel_of, fields, sums, counts, self.mean.value, steps, rng)
            self.field_weights.assign(weights)
            self.prior_weight.assign(prior_weight)
        self.fit_lengths(training)

    def mean_step(self, signatures: Tensor) -> Tensor:
        """The mean steps of users with the same attributes."""
        query = unit_fields(tf.cast(signatures, tf.float32), self.field_weights.shape[0])
        common = kernel(query, self.keys.value, self.field_weights.value)
        return regress(common, self.sums.value, self.counts.value, self.mean.value, self.prior_weight.value)


def kernel(query: Tensor, keys: Tensor, field_weights: Tensor) -> Tensor:
    """K [B, R] by the formula of ColdStart.

    Args:
        query: [B, F d], attributes of new users, see `unit_fields`.
        keys: [R, F d], those of reference users.
        field_weights: [F], w.
    """
    by_column = tf.repeat(field_weights, query.shape[1] // field_weights.shape[0])
    return tf.exp(tf.matmul(query * by_column, keys, transpose_b=True) - tf.reduce_sum(field_weights))
