"""The cross layers of DCN V2, in NumPy."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import dcnv2
from tests.helpers.features import as_arrays, layer_weights, some_features
from tests.helpers.oracles import leaky


def test_dcnv2_crosses_with_the_input() -> None:
    ranker = dcnv2.Ranker(cross_layers=2, units=(4,))
    features = some_features(3)
    ranker(features)
    x = as_arrays(features)
    parts = [x["attributes"], x["context"], x["target"], x["behaviors"].mean(axis=1, keepdims=True)]
    x0 = crossed = np.concatenate(parts, axis=1).reshape(3, -1)
    for layer in ranker.cross:
        kernel, bias = layer_weights(layer)
        crossed = x0 * (crossed @ kernel + bias) + crossed
    deep = x0
    for dense, norm in zip(ranker.tower.hidden, ranker.tower.norm, strict=True):
        kernel, bias = layer_weights(dense)
        gamma, beta, mean, variance = layer_weights(norm)
        deep = leaky((deep @ kernel + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta)
    kernel, bias = layer_weights(ranker.logit)
    expected = (np.hstack([crossed, deep]) @ kernel + bias)[:, 0]
    np.testing.assert_allclose(ranker(features), expected, atol=1e-5)
