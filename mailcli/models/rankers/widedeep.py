"""Wide & Deep (Cheng et al., DLRS 2016)."""

from __future__ import annotations

from mailcli.models.features import Features, Spec, Tensor
from mailcli.models.rankers._blocks import TowerRanker, Wide, flat_fields


class Ranker(TowerRanker):
    """Wide & Deep: logistic regression on ids beside a network (Cheng et al., DLRS 2016).

    logit = Σ w[id] + Dense_1(tower(all fields side by side, the mean of v as one of them)).

    Args:
        units: widths of the deep part.
        dropout: rate before each of its layers.
    """

    def build_for(self, spec: Spec) -> None:
        """Make the weights of the ids."""
        self.wide = Wide()
        self.wide.build_for(spec)

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        return self.wide(features) + self.deep(flat_fields(features), training)
