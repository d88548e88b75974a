"""Equal steps at the end of an empty history."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart._generated_steps import GeneratedSteps
from mailcli.models.coldstart._signatures import signature, signature_size
from tests.helpers.features import some_features, spec


def test_new_users_alone_are_changed() -> None:
    steps = GeneratedSteps()
    steps.build_for(4, 2)
    steps.slope.assign([1.0, 0.0])
    features = some_features(4, new=[1])
    # n̂ = 1 + 1.6, rounded.
    completed = steps(features, tf.constant([[5.0, 6.0]]), tf.constant([[1.6, 9.0]]))
    assert completed.behaviors[1].numpy().tolist() == [[0, 0], [5, 6], [5, 6], [5, 6]]
    assert completed.behavior_mask[1].numpy().tolist() == [False, True, True, True]
    assert completed.behavior_sum[1].numpy().tolist() == [15, 18]
    # The mean action, the last row of the table.
    assert completed.action_ids[1].numpy().tolist() == [0, 3, 3, 3]
    for row in (0, 2, 3):
        np.testing.assert_array_equal(completed.behaviors[row], features.behaviors[row])
        np.testing.assert_array_equal(completed.action_ids[row], features.action_ids[row])


def test_lengths_are_regressed_on_signatures() -> None:
    rng = np.random.default_rng(0)
    signatures = rng.normal(size=(300, 3))
    lengths = 20 + 4 * signatures[:, 0] + rng.normal(size=300)
    steps = GeneratedSteps()
    steps.build_for(50, 3)
    steps.fit((signatures[k : k + 64], lengths[k : k + 64]) for k in range(0, 300, 64))
    centered = signatures - signatures.mean(axis=0)
    penalty = 0.01 * np.trace(centered.T @ centered) / 3
    slope = np.linalg.solve(centered.T @ centered + penalty * np.eye(3), centered.T @ (lengths - lengths.mean()))
    np.testing.assert_allclose(steps.slope, slope, atol=1e-4)
    np.testing.assert_allclose(steps.intercept, lengths.mean() - signatures.mean(axis=0) @ slope, rtol=1e-5)
    assert abs(float(steps.slope[0]) - 4) < 0.3


def test_users_who_are_all_alike_have_the_mean_length() -> None:
    steps = GeneratedSteps()
    steps.build_for(50, 2)
    steps.fit([(np.ones((3, 2)), np.array([4.0, 5.0, 9.0]))])
    assert steps.slope.numpy().tolist() == [0, 0]
    assert float(steps.intercept) == pytest.approx(6)


def test_the_id_is_left_out_of_the_description() -> None:
    features = some_features(2)
    np.testing.assert_array_equal(signature(features.attributes, 0), features.attributes.numpy()[:, 1:].reshape(2, -1))
    assert signature_size(spec()) == 4
    with pytest.raises(ValueError, match="needs user attributes other than the id"):
        signature_size(spec(n_a=1))
