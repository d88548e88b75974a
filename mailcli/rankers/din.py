"""Deep Interest Network (Zhou et al., KDD 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.contracts import Features, RankingTower, Tensor
from mailcli.towers import StepScorer, Tower, flat_fields


class Ranker(RankingTower):
    """DIN: each behaviour weighted by its match with the target (Zhou et al., KDD 2018).

    v_U = Σ w(q, v_i) v_i with w a network on [q, v_i, q - v_i, q ⊙ v_i], not normalised (DIN Eq. (3)).

    Args:
        units: widths of the hidden layers.
        dropout: rate before each hidden layer.
    """

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.rate = tuple(units), dropout
        self.scorer = StepScorer("sigmoid")
        self.tower = Tower(units, dropout)
        self.logit = keras.layers.Dense(1)

    def interest(self, features: Features) -> Tensor:
        """v_U [B, d]; zeros for an empty history."""
        weights = self.scorer(features.query[:, None], features.behaviors)
        weights *= tf.cast(features.behavior_mask, weights.dtype)
        return tf.einsum("bn,bnd->bd", weights, features.behaviors)

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        interest = self.interest(features)
        x = tf.concat([flat_fields(features), interest, interest * features.query], axis=1)
        return self.logit(self.tower(x, training=training))[:, 0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "dropout": self.rate}
