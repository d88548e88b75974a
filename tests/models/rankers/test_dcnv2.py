"""The cross layers of DCN V2, in NumPy."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import dcnv2
from tests.helpers.features import as_arrays, layer_weights, some_features
from tests.helpers.networks import dense_one, fields, tower


def test_dcnv2_crosses_with_the_input() -> None:
    ranker = dcnv2.Ranker(cross_layers=2, units=(4,))
    features = some_features(3)
    ranker(features)
    x = as_arrays(features)
    x0 = crossed = fields(x).reshape(3, -1)
    for layer in ranker.cross:
        kernel, bias = layer_weights(layer)
        crossed = x0 * (crossed @ kernel + bias) + crossed
    expected = dense_one(ranker.logit, np.hstack([crossed, tower(ranker.tower, x0)]))
    np.testing.assert_allclose(ranker(features), expected, atol=1e-5)
