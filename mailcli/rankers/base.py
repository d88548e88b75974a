"""BaseDNN, the paper's own ranking tower (MAIL Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.contracts import Features, RankingTower, Tensor
from mailcli.layers import leaky_relu


class Ranker(RankingTower):
    """Sum pooling of each group, then a small network: MAIL Eqs. (11)-(12).

    z = [Σ a_i, Σ v_i, Σ c_i, Σ t_i, dense]; h = LeakyReLU(BN(Dense(Dropout(z)))) for each width; logit = Dense_1(h).

    Args:
        units: widths of the hidden layers (MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (MAIL Sec. 4.1.4).
    """

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.rate = dropout
        self.hidden = [keras.layers.Dense(width) for width in self.units]
        self.norm = [keras.layers.BatchNormalization() for _ in self.units]
        self.dropout = [keras.layers.Dropout(dropout) for _ in self.units]
        self.logit = keras.layers.Dense(1)

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        groups = (features.attributes, features.behaviors, features.context, features.target)
        h = tf.concat([*(tf.reduce_sum(group, axis=1) for group in groups), features.dense], axis=1)
        for hidden, norm, dropout in zip(self.hidden, self.norm, self.dropout, strict=True):
            h = leaky_relu(norm(hidden(dropout(h, training=training)), training=training))
        return self.logit(h)[:, 0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "dropout": self.rate}
