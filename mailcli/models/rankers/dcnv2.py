"""DCN V2 (Wang et al., WWW 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_rs
import tensorflow as tf

from mailcli.models.features import Features, Tensor
from mailcli.models.rankers._blocks import TowerRanker, flat_field_embeddings
from mailcli.utils.option_checks import check_least


class Ranker(TowerRanker):
    """DCN V2, parallel form: cross layers next to a network (Wang et al., WWW 2021).

    x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l, from Keras Recommenders; logit = Dense_1([x_L, tower(x_0)]).

    Args:
        cross_layers: L, the number of cross layers (ours).
        units: widths of the deep part (as in BaseDNN, MAIL Sec. 4.1.4).
        dropout: dropout rate before each layer of the deep part (as in BaseDNN).
    """

    def __init__(
        self, cross_layers: int = 3, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(units, dropout, **kwargs)
        check_least(1, cross_layers=cross_layers)
        self.cross = [keras_rs.layers.FeatureCross() for _ in range(cross_layers)]

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        x0 = x = flat_field_embeddings(features)
        for layer in self.cross:
            x = layer(x0, x)
        return self.logit(tf.concat([x, self.tower(x0, training=training)], axis=1))[:, 0]
