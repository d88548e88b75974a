"""Deep Interest Network (Zhou et al., KDD 2018)."""

from __future__ import annotations

import tensorflow as tf

from mailcli.models.features import Features, Spec, Tensor
from mailcli.models.layers import weighted_sum
from mailcli.models.rankers._blocks import RealSteps, StepScorer, TowerRanker, flat_field_embeddings


class Ranker(TowerRanker):
    """DIN: each behavior weighted by its match with the target (Zhou et al., KDD 2018).

    z = [all fields, mean of v, dense, v_U, v_U ⊙ q]; then MAIL Eq. (12). v_U = Σ w(q, v_i) v_i with w a network on
    [q, v_i, q - v_i, q ⊙ v_i], not normalized (DIN Eq. (3)). The mean of v and the product are ours, as in `dmr`.

    Args:
        units: widths of the hidden layers (as in BaseDNN, MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (as in BaseDNN).
    """

    def build_for(self, spec: Spec) -> None:
        """Make w."""
        del spec
        self.scorer = StepScorer("sigmoid")

    def interest(self, features: Features) -> Tensor:
        """v_U [B, d]; zeros for an empty history."""
        real = RealSteps.from_mask(features.behaviors, features.behavior_mask)
        weights = real.to_histories(self.scorer(real.per_step(features.query), real.steps))
        return weighted_sum(weights, features.behaviors)

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        interest = self.interest(features)
        x = tf.concat([flat_field_embeddings(features), interest, interest * features.query], axis=1)
        return self.deep(x, training)
