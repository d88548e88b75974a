"""LLAE against the published code, run in Octave (tests/golden/llae_reference.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize("corruption", [0.0, 0.5])
def test_gram_matrices_over_batches_are_those_of_the_whole(corruption: float) -> None:
    features = some_features(30, new=[3, 17])
    method = llae.ColdStart(corruption=corruption, rank=2)
    method.build_for(spec())
    method.fit(training_data(features, np.zeros(30), np.arange(30)))
    old = ~features.is_new.numpy()
    all_signatures, steps = signatures(features), mean_steps(features)[old]  # a user has one impression here
    unit = all_signatures / np.linalg.norm(all_signatures, axis=1, keepdims=True)
    s, x = unit[old].T, (steps / np.linalg.norm(steps, axis=1, keepdims=True)).T
    # What is left of x: its numbers are dropped by the seed of the run and llae's own.
    corrupted = x * (np.random.default_rng([0, 0]).random((28, 2)) >= corruption).T
    w = llae.solve(s @ s.T, s @ x.T, s @ corrupted.T, corrupted @ corrupted.T, 2.0, 30.0, 2, 5)[-1]
    # x ≈ b + c Wᵀ s by NumPy's least squares: a column for c, and one per dimension for b.
    decoded = s.T @ w
    design = np.column_stack([decoded.ravel(), np.tile(np.eye(2), (28, 1))])
    (c, *b), *_ = np.linalg.lstsq(design, steps.ravel())
    np.testing.assert_allclose(method.projection, c * w, atol=1e-5)
    np.testing.assert_allclose(method.offset, b, atol=1e-5)
    completed = method.complete(features)
    np.testing.assert_allclose(completed.behaviors[3, -1], b + c * unit[3] @ w, atol=1e-4)


def test_a_user_without_attributes_has_the_offset() -> None:
    np.testing.assert_array_equal(llae.normalize(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])
