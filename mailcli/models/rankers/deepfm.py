"""DeepFM (Guo et al., IJCAI 2017)."""

from __future__ import annotations

import tensorflow as tf

from mailcli.models.features import Features, Spec, Tensor
from mailcli.models.rankers._blocks import TowerRanker, Wide, fields, flat_fields


class Ranker(TowerRanker):
    """DeepFM: factorisation machine and network on the same embeddings (Guo et al., IJCAI 2017).

    logit = Σ w[id] + Σ_{i<j} <e_i, e_j> + Dense_1(tower(all fields side by side)); the mean of v is one field.

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
        deep = self.deep(flat_fields(features), training)
        return self.wide(features) + pairwise_products(tf.cast(fields(features), tf.float32)) + deep


def pairwise_products(each: Tensor) -> Tensor:
    """Σ_{i<j} <e_i, e_j> = ½ (|Σ e_i|² - Σ |e_i|²), [B] of [B, fields, d]: DeepFM Eq. (2) in linear time."""
    total = tf.reduce_sum(each, axis=1)
    return 0.5 * (tf.reduce_sum(total * total, axis=1) - tf.reduce_sum(each * each, axis=[1, 2]))
