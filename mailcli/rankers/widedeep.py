"""Wide & Deep (Cheng et al., DLRS 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from mailcli.contracts import Features, RankingTower, Spec, Tensor
from mailcli.towers import Tower, Wide, flat_fields


class Ranker(RankingTower):
    """Wide & Deep: logistic regression on ids beside a network (Cheng et al., DLRS 2016).

    logit = Σ w[id] + Dense_1(tower(all fields side by side, the mean of v as one of them)).

    Args:
        units: widths of the deep part.
        dropout: rate before each of its layers.
    """

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.rate = tuple(units), dropout
        self.wide = Wide()
        self.tower = Tower(units, dropout)
        self.logit = keras.layers.Dense(1)

    def build_for(self, spec: Spec) -> None:
        """Make the weights of the ids."""
        self.wide.build_for(spec)

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        return self.wide(features) + self.logit(self.tower(flat_fields(features), training=training))[:, 0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "dropout": self.rate}
