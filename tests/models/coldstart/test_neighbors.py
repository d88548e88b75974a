"""Kernel regression of behavior on attributes, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import neighbors
from mailcli.models.coldstart._virtual_steps import unit_fields
from tests.helpers.features import signatures, some_features, spec, training_data


def test_users_count_by_their_behaviors_and_by_what_they_share() -> None:
    # Two attributes of one number each: a user shares both, one, or none of them with the new user (1, 1).
    keys = tf.constant([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [0.0, 0.0]])
    sums, counts = tf.constant([[4.0], [6.0], [1.0], [0.0]]), tf.constant([2.0, 3.0, 1.0, 0.0])
    predicted = neighbors.regress(
        tf.constant([[1.0, 1.0]]), keys, sums, counts, tf.constant([5.0]), tf.constant([0.5, 0.25]), tf.constant(2.0)
    )
    # w (cos - 1): 0; -0.5; -1 - 0.5.
    one, none = math.exp(-0.5), math.exp(-1.5)
    expected = (4 + one * 6 + none * 1 + 2 * 5) / (2 + one * 3 + none * 1 + 2)
    assert float(predicted[0, 0]) == pytest.approx(expected, rel=1e-6)


def test_a_user_may_be_left_out() -> None:
    keys, sums, counts = tf.constant([[1.0], [1.0]]), tf.constant([[4.0], [9.0]]), tf.constant([1.0, 1.0])
    predicted = neighbors.regress(
        keys, keys, sums, counts, tf.constant([0.0]), tf.constant([1.0]), tf.constant(1.0), 1 - tf.eye(2)
    )
    assert predicted.numpy().tolist() == [[4.5], [2.0]]


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
    method = neighbors.ColdStart(references=400, steps=200)
    method.make_weights(3, 1)
    method.mean.assign([0.0])
    keys, sums, counts = tf.constant(attributes), tf.constant(behavior, tf.float32), tf.ones(400)
    for weight, rows in ((method.keys, keys), (method.sums, sums), (method.counts, counts)):
        weight.assign(rows)
    method._fit_weights(keys, sums, counts, rng)
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
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbors.ColdStart(**options)
