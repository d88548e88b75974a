"""BaseDNN: what its network is given."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.rankers.base import Ranker
from tests.helpers.features import some_features


@pytest.mark.parametrize("product", [False, True])
def test_its_input_is_that_of_the_paper_and_the_product_if_asked_for(
    product: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = some_features(4)
    given: list[tf.Tensor] = []

    def deep(self: Ranker, x: tf.Tensor, training: bool) -> tf.Tensor:
        given.append(x)
        return x[:, 0]

    monkeypatch.setattr(Ranker, "deep", deep)
    Ranker(units=(8,), product=product).call(features)
    sums = [features.attributes, features.context, features.target]
    attributes, context, target = (np.asarray(group).sum(axis=1) for group in sums)
    behavior, dense = np.asarray(features.behavior_sum), np.asarray(features.dense)
    expected = [attributes, behavior, context, target, dense]
    if product:
        expected.append(behavior * np.asarray(features.query))
    np.testing.assert_allclose(given[0], np.concatenate(expected, axis=1), rtol=1e-6)
