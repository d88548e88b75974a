"""Entire Space Multi-Task Model (Ma et al., SIGIR 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from mailcli.models.contracts import RankingTower
from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import Tower, pooled


class Ranker(RankingTower):
    """ESMM: pCTCVR = pCTR x pCVR, trained on all impressions (Ma et al., SIGIR 2018).

    Two towers on one table. Needs the label `conversion`; the loss is L_rt (13) for clicks plus `ctcvr_loss` for the
    product.

    Args:
        units: widths of the hidden layers of each tower (as in BaseDNN, MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (as in BaseDNN).
    """

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.towers = {name: Tower(units, dropout) for name in ("click", "conversion")}
        self.logits = {name: keras.layers.Dense(1, dtype="float32") for name in self.towers}

    def call(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """Logits [B] of a click and of a conversion after a click."""
        z = pooled(features)
        return {name: self.logits[name](tower(z, training=training))[:, 0] for name, tower in self.towers.items()}
