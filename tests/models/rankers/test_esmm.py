"""The two heads of ESMM."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import esmm
from tests.helpers.features import as_arrays, some_features
from tests.helpers.networks import dense_one, pooled, tower


def test_each_head_has_a_tower_of_its_own_on_the_same_input() -> None:
    ranker, features = esmm.Ranker(units=(4,)), some_features(3)
    heads = ranker(features)
    assert list(heads) == ["click", "conversion"]
    for name, logit in heads.items():
        expected = dense_one(ranker.logits[name], tower(ranker.towers[name], pooled(as_arrays(features))))
        np.testing.assert_allclose(logit, expected, atol=1e-5)
