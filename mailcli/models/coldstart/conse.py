"""ConSE, convex combination of semantic embeddings (Norouzi et al., ICLR 2014), for users."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from mailcli.models.coldstart._virtual_steps import VirtualSteps, signature, signature_size
from mailcli.models.contracts import ColdStartMethod, TrainingData
from mailcli.models.features import Features, Spec, Tensor, mean_behavior


class ColdStart(ColdStartMethod):
    """ConSE: behavior of the old users of most similar attributes (Norouzi et al., ICLR 2014).

    x = Σ p_k x_k over the nearest users, p a softmax of the cosines of their attributes; x_k is the mean step of user
    k's history at its last training impression.

    Args:
        neighbors: how many users are combined (ConSE's T).
        references: most old users that are kept, drawn by the seed (ours: a few MB).
        temperature: of the softmax (ours).
    """

    two_stage = True

    def __init__(self, neighbors: int = 10, references: int = 4096, temperature: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= neighbors <= references:
            raise ValueError(f"`neighbors` should be 1 to `references`. Received: {neighbors} and {references}")
        if temperature <= 0:
            raise ValueError(f"`temperature` should be positive. Received: {temperature}")
        self.settings: dict[str, Any] = {
            "neighbors": neighbors,
            "references": references,
            "temperature": temperature,
        }
        self.steps = VirtualSteps()

    def build_for(self, spec: Spec) -> None:
        """Make room for the reference users; a row of zeros is none."""
        self.id_place = spec.id_place
        rows = self.settings["references"]
        self.keys = self.add_weight(
            shape=(rows, signature_size(spec)), initializer="zeros", trainable=False, name="keys"
        )
        self.values = self.add_weight(shape=(rows, spec.dim), initializer="zeros", trainable=False, name="values")
        self.count = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="count")
        self.steps.build_for(spec)

    def fit(self, training: TrainingData) -> None:
        """Keep the attributes and the mean step of the reference users."""
        rng = np.random.default_rng([training.seed, 1])
        chosen = np.sort(rng.permutation(training.last_of_each())[: self.settings["references"]])
        features = training.gather(chosen)
        for weight, rows in ((self.keys, signature(features, self.id_place)), (self.values, mean_behavior(features))):
            whole = np.zeros(weight.shape, np.float32)
            whole[: len(chosen)] = rows.numpy()
            weight.assign(whole)
        self.count.assign(len(chosen))
        self.steps.fit(training)

    def complete(self, features: Features, training: bool = False) -> Features:
        """The combination as the mean step of new users."""
        del training
        new = features.rows(tf.where(features.is_new)[:, 0])
        s = self.settings
        real = tf.range(s["references"]) < self.count
        query = signature(new, self.id_place)
        return self.steps(features, combine(query, self.keys, self.values, real, s["neighbors"], s["temperature"]))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


def combine(query: Tensor, keys: Tensor, values: Tensor, real: Tensor, neighbors: int, temperature: float) -> Tensor:
    """Σ p_k x_k [B, d], p = softmax(cosine / temperature) over the nearest: ConSE Eq. (3).

    Args:
        query: [B, n], attributes of new users.
        keys: [R, n], attributes of reference users.
        values: [R, d], their mean steps.
        real: [R] bool, which rows are users.
        neighbors: how many are combined.
        temperature: of the softmax.
    """
    cosine = tf.matmul(tf.math.l2_normalize(query, axis=1), tf.math.l2_normalize(keys, axis=1), transpose_b=True)
    near, at = tf.math.top_k(tf.where(real, cosine, -2.0), k=neighbors)
    # -2 is below every cosine: a place without a user takes no part.
    weight = tf.nn.softmax(tf.where(near > -1.5, near / temperature, -1e9))
    weight *= tf.cast(near > -1.5, weight.dtype)
    return tf.einsum("bk,bkd->bd", weight, tf.gather(values, at))
