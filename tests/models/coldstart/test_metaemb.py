"""The inner step of MetaEmb, by hand for a linear ranker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import metaemb
from mailcli.models.features import Features
from tests.helpers.features import signatures, some_features, spec, training_data


def test_the_loss_after_one_inner_step() -> None:
    weight = np.array([0.8, -1.7])
    method = metaemb.ColdStart(alpha=0.3, inner_rate=0.5, impressions=2)
    method.build_for(spec())

    def ranker(features: Features) -> Any:
        return tf.linalg.matvec(features.attributes[:, 0], tf.constant(weight, tf.float32)) + features.context[:, 0, 0]

    cold, warm = some_features(4, seed=1), some_features(4, seed=2)
    cold_clicks, warm_clicks = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    data = training_data(cold, cold_clicks, np.arange(4), ranker=ranker)
    # Rows 0 and 1 belong to one user, 2 and 3 to another; a user's attributes are those of its first row.
    s = signatures(cold)[[0, 2]]
    phi = np.tanh(s @ method.kernel.numpy()) / 5
    loss = 0.0
    stepped = np.empty_like(phi)
    for number, embedding in enumerate(phi):
        rows = slice(2 * number, 2 * number + 2)
        z = embedding @ weight + cold.context.numpy()[rows, 0, 0]
        p = 1 / (1 + np.exp(-z))
        loss += 0.3 * np.mean(-cold_clicks[rows] * np.log(p) - (1 - cold_clicks[rows]) * np.log(1 - p)) / 2
        stepped[number] = embedding - 0.5 * np.mean(p - cold_clicks[rows]) * weight
        z = stepped[number] @ weight + warm.context.numpy()[rows, 0, 0]
        p = 1 / (1 + np.exp(-z))
        loss += 0.7 * np.mean(-warm_clicks[rows] * np.log(p) - (1 - warm_clicks[rows]) * np.log(1 - p)) / 2
    clicks = [tf.constant(batch, tf.float32) for batch in (cold_clicks, warm_clicks)]
    meta_loss = method.meta_loss(data, cold, clicks[0], warm, clicks[1])
    assert float(meta_loss) == pytest.approx(loss, abs=1e-6)


def test_fit_lowers_the_loss_of_what_the_id_would_tell() -> None:
    """Clicks follow an attribute; the ranker sees only the id embedding."""
    features = some_features(64)
    clicks = (features.attributes.numpy()[:, 1, 0] > 0).astype(np.float32)

    def ranker(x: Features) -> Any:
        return 20 * x.attributes[:, 0, 0]

    data = training_data(features, clicks, np.arange(64), ranker=ranker)
    method = metaemb.ColdStart(steps=60, users=16, impressions=2, learning_rate=0.05)
    method.build_for(spec())

    def loss() -> float:
        completed = method.complete(features._replace(is_new=tf.ones_like(features.is_new)))
        return float(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(clicks, ranker(completed))))

    before = loss()
    method.fit(data)
    assert loss() < 0.6 * before


def test_new_users_ids_alone_are_replaced() -> None:
    method = metaemb.ColdStart()
    method.build_for(spec())
    features = some_features(3, new=[1])
    completed = method.complete(features)
    np.testing.assert_array_equal(completed.attributes.numpy()[[0, 2]], features.attributes.numpy()[[0, 2]])
    expected = np.tanh(signatures(features)[1] @ method.kernel.numpy()) / 5
    np.testing.assert_allclose(completed.attributes[1, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(completed.attributes[1, 1:], features.attributes[1, 1:])
    np.testing.assert_array_equal(completed.behaviors, features.behaviors)


def test_two_batches_show_the_same_users() -> None:
    features = some_features(12, new=[0])
    users = np.repeat([3, 5, 8], 4)
    features = features._replace(target_id=tf.constant(users, tf.int32))
    batches = metaemb._UserBatches(training_data(features, np.zeros(12), users), np.random.default_rng(0), 5, 3)
    cold, _, warm, _ = batches.next_pair()
    np.testing.assert_array_equal(cold.target_id, warm.target_id)
    assert (cold.target_id.numpy().reshape(5, 3) == cold.target_id.numpy()[::3, None]).all()
    assert cold.is_new.numpy().all()
    assert not cold.behavior_mask.numpy().any()
