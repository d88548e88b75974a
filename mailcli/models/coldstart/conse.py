"""ConSE, convex combination of semantic embeddings (Norouzi et al., ICLR 2014), for users."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mailcli.models.coldstart._generated_steps import MeanStepMethod, assign_first_rows, reference_users
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Tensor, mean_behavior
from mailcli.models.layers import MASKED_SCORE


class ColdStart(MeanStepMethod):
    """ConSE: behavior of the old users with the most similar attributes (Norouzi et al., ICLR 2014).

    x = Σ p_k x_k over the nearest users; p is a softmax over the cosines of their attributes, x_k the mean step of user
    k's history at its last training impression.

    Args:
        neighbors: how many users are combined (ConSE's T).
        references: at most this many old users are kept, sampled by the seed (ours: a few MB).
        temperature: temperature of the softmax over similarities (ours).
    """

    def __init__(self, neighbors: int = 10, references: int = 4096, temperature: float = 0.1, **kwargs: Any) -> None:
        if not 1 <= neighbors <= references:
            raise ValueError(f"`neighbors` should be 1 to `references`. Received: {neighbors} and {references}")
        if temperature <= 0:
            raise ValueError(f"`temperature` should be positive. Received: {temperature}")
        settings = {"neighbors": neighbors, "references": references, "temperature": temperature}
        super().__init__(settings, **kwargs)

    def make_weights(self, signature_size: int, dim: int) -> None:
        """Make room for the reference users; unused rows are zero."""
        rows = self.settings["references"]
        self.keys = self.add_weight(shape=(rows, signature_size), initializer="zeros", trainable=False, name="keys")
        self.values = self.add_weight(shape=(rows, dim), initializer="zeros", trainable=False, name="values")
        self.count = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="count")

    def fit(self, training: TrainingData) -> None:
        """Keep the attributes and mean steps of the reference users."""
        features = reference_users(training, self.settings["references"])
        assign_first_rows(self.keys, self.signature(features))
        assign_first_rows(self.values, mean_behavior(features))
        self.count.assign(len(features.user))
        self.fit_lengths(training)

    def mean_step(self, signatures: Tensor) -> Tensor:
        """The combination of the nearest users' mean steps."""
        s = self.settings
        real = tf.range(s["references"]) < self.count
        return combine(signatures, self.keys, self.values, real, s["neighbors"], s["temperature"])


def combine(query: Tensor, keys: Tensor, values: Tensor, real: Tensor, neighbors: int, temperature: float) -> Tensor:
    """Σ p_k x_k [B, d], p = softmax(cosine / temperature) over the nearest users: ConSE Eq. (3).

    Args:
        query: [B, n], attributes of new users.
        keys: [R, n], attributes of reference users.
        values: [R, d], their mean steps.
        real: [R] bool, which rows are users.
        neighbors: how many users are combined.
        temperature: of the softmax.
    """
    cosine = tf.matmul(tf.math.l2_normalize(query, axis=1), tf.math.l2_normalize(keys, axis=1), transpose_b=True)
    # -2 is below every cosine: a row without a user comes last, and gets weight 0.
    similarity, nearest = tf.math.top_k(tf.where(real, cosine, -2.0), k=neighbors)
    is_user = tf.gather(real, nearest)
    weight = tf.nn.softmax(tf.where(is_user, similarity / temperature, MASKED_SCORE))
    weight *= tf.cast(is_user, weight.dtype)
    return tf.einsum("bk,bkd->bd", weight, tf.gather(values, nearest))
