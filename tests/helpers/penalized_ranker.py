"""A ranker of one's own whose weights are penalized and constrained, for tests on several replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.models import Features, RankingTower


class Ranker(RankingTower):
    """A network with an L2 penalty and kernels of norm 1."""

    supports_replicas = True

    def __init__(self, units: Sequence[int] = (16,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = [
            keras.layers.Dense(
                width,
                activation="relu",
                kernel_regularizer=keras.regularizers.L2(0.01),
                kernel_constraint=keras.constraints.UnitNorm(axis=0),
            )
            for width in units
        ]
        self.out = keras.layers.Dense(1)

    def call(self, features: Features, training: bool = False) -> Any:
        """Logits [B]."""
        h = tf.concat([features.behavior_sum, features.query], axis=1)
        for layer in self.hidden:
            h = layer(h)
        return self.out(h)[:, 0]


class WithInnerLoss(Ranker):
    """The same, with an activity penalty, which Keras gives to the `add_loss` of the inner layer."""

    def __init__(self, units: Sequence[int] = (16,), **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.hidden = [keras.layers.Dense(width, activity_regularizer=keras.regularizers.L2(0.01)) for width in units]
