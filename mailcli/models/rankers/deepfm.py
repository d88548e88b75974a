"""DeepFM (Guo et al., IJCAI 2017)."""

from __future__ import annotations

import tensorflow as tf

from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import WideRanker, field_embeddings, flat_field_embeddings


class Ranker(WideRanker):
    """DeepFM: factorization machine and network on the same embeddings (Guo et al., IJCAI 2017).

    logit = Σ w[id] + Σ_{i<j} <e_i, e_j> + Dense_1(tower(all fields concatenated)); the mean of v is one field.

    Args:
        units: widths of the deep part (as in BaseDNN, MAIL Sec. 4.1.4).
        dropout: dropout rate before each layer of the deep part (as in BaseDNN).
    """

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        deep = self.deep(flat_field_embeddings(features), training)
        return self.wide(features) + pairwise_products(tf.cast(field_embeddings(features), tf.float32)) + deep


def pairwise_products(embeddings: Tensor) -> Tensor:
    """Σ_{i<j} <e_i, e_j> = ½ (|Σ e_i|² - Σ |e_i|²), [B] of [B, fields, d]: DeepFM Eq. (2) in linear time."""
    total = tf.reduce_sum(embeddings, axis=1)
    return 0.5 * (tf.reduce_sum(total * total, axis=1) - tf.reduce_sum(embeddings * embeddings, axis=[1, 2]))
