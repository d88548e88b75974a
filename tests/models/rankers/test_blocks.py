"""The wide part of rankers, by hand."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.rankers._blocks import Wide
from tests.helpers.features import some_features, spec


def test_wide_adds_a_weight_per_id() -> None:
    layer = Wide()
    layer.build_for(spec())
    layer.weight.assign(np.arange(layer.weight.shape[0], dtype=np.float32))
    features = some_features(2)._replace(table_rows=tf.constant([[3, 0, 5], [1, 1, 0]]))
    # Row 0 is padding: its weight is ignored, whatever it is.
    layer.weight.assign(tf.tensor_scatter_nd_update(layer.weight.value, [[0]], [100.0]))
    assert layer(features).numpy().tolist() == [8.0, 2.0]


def test_wide_takes_dense_features_too() -> None:
    layer = Wide()
    layer.build_for(spec(dense=("price",)))
    layer.dense_weight.assign([[2.0]])
    features = some_features(2)._replace(dense=tf.constant([[1.0], [-3.0]]))
    assert layer(features).numpy().tolist() == [2.0, -6.0]
