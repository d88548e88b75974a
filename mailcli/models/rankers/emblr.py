"""EmbLR, the ranker of LLAE's row in MAIL Table 2."""

from __future__ import annotations

from typing import Any

import keras

from mailcli.models.contracts import RankingTower
from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import pooled


class Ranker(RankingTower):
    """EmbLR: logistic regression over pooled embeddings (Feng et al., CIKM 2021).

    logit = wᵀ [Σ a_i, Σ v_i, Σ c_i, Σ t_i, dense] + b. The parts of a and v are the same for all impressions of a user
    with the same history, so no cold-start method can change GAUC by them (LLAE's gain in GAUC is 0).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.logit = keras.layers.Dense(1, dtype="float32")

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        del training
        return self.logit(pooled(features))[:, 0]
