"""The factorization machine of DeepFM, pair by pair."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.rankers import deepfm


def test_deepfm_sums_the_products_of_all_pairs() -> None:
    embeddings = np.random.default_rng(0).normal(size=(4, 5, 3))
    expected = [sum(e[i] @ e[j] for i in range(5) for j in range(i)) for e in embeddings]
    np.testing.assert_allclose(deepfm.pairwise_products(tf.constant(embeddings)), expected, atol=1e-12)
