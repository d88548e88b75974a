"""EmbLR is linear."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import emblr
from tests.helpers.features import as_arrays, layer_weights, some_features


def test_emblr_is_linear_in_the_pooled_embeddings() -> None:
    ranker = emblr.Ranker()
    features = some_features(4, new=[1])
    ranker(features)
    kernel, bias = layer_weights(ranker.logit)
    x = as_arrays(features)
    pooled = np.hstack([x[name].sum(axis=1) for name in ("attributes", "behaviors", "context", "target")])
    np.testing.assert_allclose(ranker(features), (pooled @ kernel + bias)[:, 0], atol=1e-5)
