"""BaseDNN, the paper's own ranking tower (MAIL Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from mailcli.contracts import Features, RankingTower, Tensor
from mailcli.towers import Tower, pooled


class Ranker(RankingTower):
    """BaseDNN: sum pooling, then a small network (MAIL Eqs. 11-12; Feng et al., CIKM 2021).

    z = [Σ a_i, Σ v_i, Σ c_i, Σ t_i, dense]; h = LeakyReLU(BN(Dense(Dropout(z)))) for each width; logit = Dense_1(h).

    Args:
        units: widths of the hidden layers (MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (MAIL Sec. 4.1.4).
    """

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.rate = tuple(units), dropout
        self.tower = Tower(units, dropout)
        self.logit = keras.layers.Dense(1)

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        return self.logit(self.tower(pooled(features), training=training))[:, 0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "dropout": self.rate}
