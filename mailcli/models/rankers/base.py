"""BaseDNN, the paper's own ranking tower (MAIL Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import TowerRanker, pooled


class Ranker(TowerRanker):
    """BaseDNN: sum pooling, then a small network (MAIL Eqs. 11-12; Feng et al., CIKM 2021).

    z = [Σ a_i, Σ v_i, Σ c_i, Σ t_i, dense]; h = LeakyReLU(BN(Dense(Dropout(z)))) for each width; logit = Dense_1(h).

    Args:
        units: widths of the hidden layers (MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (MAIL Sec. 4.1.4).
        product: whether z also holds Σ v_i ⊙ q, q the sum of the target's fields that steps have too (ours, as in DMR's
            published code): how well behavior and target fit, which a network does not learn from few clicks.
    """

    def __init__(
        self, units: Sequence[int] = (512, 256), dropout: float = 0.5, product: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(units, dropout, **kwargs)
        self.product = product

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        z = pooled(features)
        if self.product:
            z = tf.concat([z, features.behavior_sum * features.query], axis=1)
        return self.deep(z, training)
