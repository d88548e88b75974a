"""The factorization machine of DeepFM, pair by pair."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.rankers import deepfm
from tests.helpers.features import as_arrays, some_features, spec
from tests.helpers.networks import deep, fields


def test_deepfm_sums_the_products_of_all_pairs() -> None:
    embeddings = np.random.default_rng(0).normal(size=(4, 5, 3))
    expected = [sum(e[i] @ e[j] for i in range(5) for j in range(i)) for e in embeddings]
    np.testing.assert_allclose(deepfm.pairwise_products(tf.constant(embeddings)), expected, atol=1e-12)


def test_deepfm_is_wide_plus_pairs_plus_deep() -> None:
    ranker, features = deepfm.Ranker(units=(4,)), some_features(3)
    ranker.build_for(spec())
    ranker(features)
    wide = np.full(ranker.wide.weight.shape, 0.25, np.float32)
    ranker.wide.weight.assign(wide)
    embeddings = fields(as_arrays(features))
    pairs = np.array([sum(e[i] @ e[j] for i in range(len(e)) for j in range(i)) for e in embeddings])
    # Row 0 is padding.
    linear = 0.25 * np.count_nonzero(features.table_rows, axis=1)
    expected = linear + pairs + deep(ranker, embeddings.reshape(3, -1))
    np.testing.assert_allclose(ranker(features), expected, atol=1e-5)
