"""Wide & Deep (Cheng et al., DLRS 2016)."""

from __future__ import annotations

from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import WideRanker, flat_field_embeddings


class Ranker(WideRanker):
    """Wide & Deep: logistic regression on ids next to a network (Cheng et al., DLRS 2016).

    logit = Σ w[id] + Dense_1(tower(all fields concatenated)); the mean of v is one field.

    Args:
        units: widths of the deep part (as in BaseDNN, MAIL Sec. 4.1.4).
        dropout: dropout rate before each layer of the deep part (as in BaseDNN).
    """

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        return self.wide(features) + self.deep(flat_field_embeddings(features), training)
