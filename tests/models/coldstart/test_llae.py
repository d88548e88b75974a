"""LLAE against the published code, run in Octave (tests/golden/llae_reference.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mailcli.models.coldstart import llae
from tests.helpers.features import mean_steps, signatures, some_features, spec, training_data

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "llae_reference.npz"


def test_five_projections_of_the_published_code() -> None:
    case = np.load(GOLDEN)
    x, s, xc = (case[name] for name in ("behaviour", "attributes", "behaviour_corrupted"))
    projections = llae.solve(
        s @ s.T,
        s @ x.T,
        s @ xc.T,
        xc @ xc.T,
        reconstruction_weight=float(case["reconstruction_weight"]),
        low_rank_weight=float(case["low_rank_weight"]),
        rank=int(case["rank"]),
        iterations=5,
    )
    np.testing.assert_allclose(projections, case["projections"], atol=1e-8)


def test_gram_matrices_over_batches_are_those_of_the_whole() -> None:
    features = some_features(30, new=[3, 17])
    method = llae.ColdStart(corruption=0.0, rank=2)
    method.build_for(spec())
    method.fit(training_data(features, np.zeros(30), np.arange(30)))
    old = ~features.is_new.numpy()
    s, x = signatures(features)[old].T, mean_steps(features)[old].T  # a user has one impression here
    expected = llae.solve(s @ s.T, s @ x.T, s @ x.T, x @ x.T, 2.0, 30.0, 2, 5)[-1]
    np.testing.assert_allclose(method.projection, expected, atol=1e-5)
    # 28 histories of 73 steps.
    assert float(method.steps.length) == 3
    completed = method.complete(features)
    np.testing.assert_allclose(completed.behaviors[3, -1], signatures(features)[3] @ expected, atol=1e-4)
