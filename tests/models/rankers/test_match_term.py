"""examples/match_term.py: what it adds to BaseDNN's logit, row by row."""

from __future__ import annotations

import numpy as np

from examples.match_term import MatchTerm
from tests.helpers.features import DIM, mean_steps, some_features, spec


def test_the_term_is_the_scaled_product_of_mean_step_and_target() -> None:
    ranker, features = MatchTerm(units=(8, 4)), some_features(5, new=[2])
    ranker.build_for(spec())
    without = ranker(features, training=False).numpy()
    ranker.weight.assign(3.0)
    added = ranker(features, training=False).numpy() - without
    query = features.query.numpy().astype(np.float64)
    expected = [3 * float(step @ q) / DIM**0.5 for step, q in zip(mean_steps(features), query, strict=True)]
    np.testing.assert_allclose(added, expected, rtol=1e-4, atol=1e-5)
    assert added[2] == 0
