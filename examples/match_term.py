"""BaseDNN with a term for how well behavior and target fit: mail train --ranker examples.match_term:MatchTerm

Hypothesis H4 of experiments/HYPOTHESES.md, which was refuted.
"""

import tensorflow as tf

from mailcli.models.features import Features, Spec, Tensor, mean_behavior
from mailcli.models.rankers.base import Ranker as BaseDNN


class MatchTerm(BaseDNN):
    """The logit of BaseDNN plus w <v̄, q> / √d, v̄ the mean step and q the target in its form; w is 0 at first."""

    def build_for(self, spec: Spec) -> None:
        super().build_for(spec)
        self.weight = self.add_weight(shape=(), initializer="zeros", dtype="float32", name="weight")

    def call(self, features: Features, training: bool = False) -> Tensor:
        products = tf.cast(mean_behavior(features) * features.query, tf.float32)
        match = tf.reduce_sum(products, axis=1) / products.shape[1] ** 0.5
        return super().call(features, training) + self.weight * match
