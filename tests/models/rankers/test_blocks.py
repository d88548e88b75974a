"""The parts of rankers, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.rankers._blocks import Tower, Wide
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


@pytest.mark.parametrize("layer", [0, 1])
def test_each_dropout_of_the_tower_acts_while_training_alone(layer: int) -> None:
    """The rows are alike, so that they differ only where something was dropped."""
    tower, x = Tower((4, 3), 0.5), tf.ones([32, 5])
    tower(x)
    # Batch normalization of equal rows gives beta, which is 0 at first.
    tower.norm[0].beta.assign(tf.ones(4))
    tower.dropout[1 - layer].rate = 0.0
    assert np.ptp(tower(x, training=True), axis=0).max() > 1e-3
    assert not np.ptp(tower(x), axis=0).any()
