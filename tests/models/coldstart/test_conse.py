"""The convex combination of ConSE, by hand."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.coldstart import conse
from tests.helpers.features import mean_steps, signatures, some_features, spec, training_data


def test_the_nearest_users_are_combined() -> None:
    keys = tf.constant([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]])
    values = tf.constant([[10.0], [20.0], [30.0], [99.0]])
    real = tf.constant([True, True, True, False])
    # Cosines with (1, 1): .7071, .7071, -.7071; with (1, 0): 1, 0, -1.
    combined = conse.combine(tf.constant([[1.0, 1.0], [1.0, 0.0]]), keys, values, real, 2, temperature=0.5)
    p = np.exp(2.0) / (np.exp(2.0) + 1)
    np.testing.assert_allclose(combined[:, 0], [15.0, 10 * p + 20 * (1 - p)], atol=1e-5)


def test_fewer_users_than_neighbors() -> None:
    keys, values = tf.constant([[1.0, 0.0], [0.0, 0.0]]), tf.constant([[7.0], [99.0]])
    combined = conse.combine(tf.constant([[1.0, 1.0]]), keys, values, tf.constant([True, False]), 2, 0.1)
    assert combined.numpy().tolist() == [[7.0]]


def test_references_are_the_last_impressions_of_old_users() -> None:
    features = some_features(6, new=[5])
    method = conse.ColdStart(neighbors=1, references=8, temperature=0.01)
    method.build_for(spec())
    method.fit(training_data(features, np.zeros(6), [7, 7, 7, 9, 9, 11]))
    assert int(method.count) == 2
    np.testing.assert_allclose(method.values[:2], mean_steps(features)[[2, 4]], atol=1e-6)
    np.testing.assert_allclose(method.keys[:2], signatures(features)[[2, 4]], atol=1e-6)
