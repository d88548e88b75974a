"""BaseDNN, the paper's own ranking tower (MAIL Sec. 3.3)."""

from __future__ import annotations

from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import TowerRanker, pooled


class Ranker(TowerRanker):
    """BaseDNN: sum pooling, then a small network (MAIL Eqs. 11-12; Feng et al., CIKM 2021).

    z = [Σ a_i, Σ v_i, Σ c_i, Σ t_i, dense]; h = LeakyReLU(BN(Dense(Dropout(z)))) for each width; logit = Dense_1(h).

    Args:
        units: widths of the hidden layers (MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (MAIL Sec. 4.1.4).
    """

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        return self.deep(pooled(features), training)
