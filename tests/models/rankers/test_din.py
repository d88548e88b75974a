"""The attention of DIN, step by step."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import din
from tests.helpers.features import DIM, N_V, as_arrays, layer_weights, some_features, spec
from tests.helpers.networks import deep, fields
from tests.helpers.oracles import sigmoid


def test_din_weighs_each_step_by_its_match_with_the_target() -> None:
    ranker = din.Ranker(units=(4,))
    ranker.build_for(spec())
    features = some_features(6, new=[2])
    ranker(features)
    w1, b1, w2, b2, w3, b3 = layer_weights(ranker.scorer)
    x = as_arrays(features)
    expected = np.zeros((6, DIM))
    for row in range(6):
        for step in range(N_V):
            if features.behavior_mask[row, step]:
                q, h = x["query"][row], x["behaviors"][row, step]
                z = sigmoid(sigmoid(np.concatenate([q, h, q - h, q * h]) @ w1 + b1) @ w2 + b2)
                expected[row] += (z @ w3 + b3) * h
    np.testing.assert_allclose(ranker.interest(features), expected, atol=1e-5)
    inputs = np.concatenate([fields(x).reshape(6, -1), expected, expected * x["query"]], axis=1)
    np.testing.assert_allclose(ranker(features), deep(ranker, inputs), atol=1e-5)
