"""Kernel regression of behavior on attributes, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import neighbors
from mailcli.models.coldstart._signatures import unit_fields
from tests.helpers.features import signatures, some_features, spec, training_data


def test_users_have_in_common_what_they_share() -> None:
    # Two attributes of one number each: a user shares both, one, or none of them with the new user (1, 1).
    keys = tf.constant([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    common = neighbors.kernel(tf.constant([[1.0, 1.0]]), keys, tf.constant([0.5, 0.25]))
    # w (cos - 1): 0; -0.5; -1 - 0.5.
    np.testing.assert_allclose(common, [[1, math.exp(-0.5), math.exp(-1.5)]], rtol=1e-6)


def test_each_attribute_has_length_one() -> None:
    unit = unit_fields(tf.constant([[3.0, 4.0, 0.0, -2.0], [0.0, 0.0, 5.0, 0.0]]), 2)
    np.testing.assert_allclose(unit, [[0.6, 0.8, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0]], atol=1e-6)


def test_references_are_the_last_impressions_of_old_users() -> None:
    features = some_features(6, new=[5])
    method = neighbors.ColdStart(references=8, steps=0)
    method.build_for(spec())
    method.fit(training_data(features, np.zeros(6), [7, 7, 7, 9, 9, 11]))
    lengths = features.behavior_mask.numpy().sum(axis=1)[[2, 4]]
    np.testing.assert_allclose(method.counts[:2], lengths)
    np.testing.assert_allclose(method.sums[:2], features.behavior_sum.numpy()[[2, 4]], atol=1e-6)
    np.testing.assert_allclose(
        method.keys[:2], unit_fields(tf.constant(signatures(features)[[2, 4]], tf.float32), spec().n_a - 1)
    )
    np.testing.assert_allclose(method.mean, method.sums.numpy().sum(axis=0) / lengths.sum(), atol=1e-6)
    assert float(tf.reduce_sum(method.counts)) == lengths.sum()


def test_the_attributes_that_tell_about_behavior_are_found() -> None:
    # Behavior is decided by whether two attributes agree, which no linear map of them knows; the third means nothing.
    rng = np.random.default_rng(0)
    attributes = rng.choice([-1.0, 1.0], size=(400, 3)).astype(np.float32)
    behavior = (attributes[:, 0] * attributes[:, 1])[:, None] + rng.normal(0, 0.3, size=(400, 1)).astype(np.float32)
    features = some_features(400, n_a=4, n_v=1, dim=1)._replace(
        attributes=tf.constant(np.column_stack([np.zeros(400), attributes])[:, :, None], tf.float32),
        behaviors=tf.constant(behavior[:, :, None]),
        behavior_sum=tf.constant(behavior),
    )
    method = neighbors.ColdStart(references=400, steps=200)
    method.build_for(spec(n_a=4, n_v=1, dim=1))
    method.fit(training_data(features, np.zeros(400), np.arange(400), batch=400))
    weights = method.field_weights.numpy()
    assert min(weights[:2]) > 5 * weights[2]
    predicted = method.mean_step(tf.constant([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])).numpy()
    np.testing.assert_allclose(predicted[:, 0], [1.0, -1.0], atol=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"references": 1}, "`references` should be 2 or more. Received: 1"),
        ({"steps": -1}, "`steps` should be 0 or more. Received: -1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbors.ColdStart(**options)
