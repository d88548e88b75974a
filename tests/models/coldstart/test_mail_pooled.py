"""What the pooled tower of MAIL predicts and learns, by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import mail_pooled
from mailcli.models.features import Features
from tests.helpers.features import DIM, N_V, layer_weights, mean_steps, signatures, some_features, spec


def method(**options: Any) -> mail_pooled.ColdStart:
    made = mail_pooled.ColdStart(**{"units": (5, 4), **options})
    made.build_for(spec())
    return made


def predicted_by_hand(made: mail_pooled.ColdStart, features: Features) -> tuple[np.ndarray, np.ndarray]:
    """x̂ [B, d] and n̂ [B], row by row."""
    (w1, b1), (w2, b2), (w3, b3) = (layer_weights(layer) for layer in (*made.hidden, made.last))
    w_n, b_n = layer_weights(made.length.share)
    steps, lengths = [], []
    for row in signatures(features).reshape(len(features.user), -1, DIM):
        h = np.concatenate([field / np.linalg.norm(field) for field in row])
        for w, b in ((w1, b1), (w2, b2)):
            h = h @ w + b
            h = np.where(h > 0, h, 0.2 * h)
        steps.append(h @ w3 + b3)
        lengths.append(np.clip(np.round(N_V / (1 + np.exp(-(h @ w_n + b_n)[0]))), 1, N_V))
    return np.array(steps), np.array(lengths)


def test_new_users_get_as_many_equal_steps_as_are_predicted() -> None:
    made, features = method(), some_features(6, new=[1, 4])
    completed = made.complete(features)
    steps, lengths = predicted_by_hand(made, features)
    for row in range(6):
        if row not in {1, 4}:
            np.testing.assert_array_equal(completed.behaviors[row], features.behaviors[row])
            continue
        count = int(lengths[row])
        expected = np.concatenate([np.zeros((N_V - count, DIM)), np.tile(steps[row], (count, 1))])
        np.testing.assert_allclose(completed.behaviors[row], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(completed.behavior_sum[row], expected.sum(axis=0), rtol=1e-5, atol=1e-6)
        assert completed.behavior_mask[row].numpy().tolist() == [False] * (N_V - count) + [True] * count


def test_the_loss_is_the_unexplained_share_of_the_variance_of_mean_steps() -> None:
    made, features = method(), some_features(7)
    losses = made.zero_shot_losses(features)
    truth, counts = mean_steps(features), np.array([4, 3, 2, 1, 4, 3, 2])
    predicted, _ = predicted_by_hand(made, features)
    mean = counts @ truth / counts.sum()
    unexplained = counts @ ((predicted - truth) ** 2).sum(axis=1)
    assert float(losses["L_x"]) == pytest.approx(unexplained / (counts @ ((mean - truth) ** 2).sum(axis=1)), rel=1e-5)
    assert set(losses) == {"L_x", "L_n"}


def test_without_old_users_nothing_is_learned() -> None:
    made, features = method(), some_features(3).rows(tf.constant([], tf.int32))
    with tf.GradientTape() as tape:
        losses = made.zero_shot_losses(features, training=True)
        total = tf.add_n(list(losses.values()))
    assert {name: float(loss) for name, loss in losses.items()} == {"L_x": 0.0, "L_n": 0.0}
    gradients = tape.gradient(total, made.trainable_variables)
    assert all(not np.asarray(gradient).any() for gradient in gradients)


def test_combinations_of_attributes_are_learned() -> None:
    # Behavior is the product of two attributes' signs, of which no sum of functions of single attributes tells anything.
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (64, 2))
    features = some_features(64)
    attributes = np.zeros((64, 3, DIM), np.float32)
    # As small as embeddings are at the start: only their direction is to count.
    attributes[:, 1:, 0] = 0.001 * signs
    steps = np.where(features.behavior_mask[:, :, None], signs.prod(axis=1)[:, None, None], 0.0) * np.ones(DIM)
    features = features._replace(
        attributes=tf.constant(attributes),
        behaviors=tf.constant(steps, tf.float32),
        behavior_sum=tf.constant(steps.sum(axis=1), tf.float32),
    )
    made = method(units=(16, 8), dropout=0.0)
    optimizer = keras.optimizers.Adam(0.02)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = made.zero_shot_losses(features, training=True)["L_x"]
        variables = [*made.hidden[0].weights, *made.hidden[1].weights, *made.last.weights]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    assert float(loss) < 0.01


def test_no_gradient_reaches_the_embeddings() -> None:
    made, features = method(), some_features(4, new=[2])
    with tf.GradientTape() as tape:
        tape.watch((features.attributes, features.behaviors))
        losses = made.zero_shot_losses(features, training=True)
        total = tf.add_n([*losses.values(), tf.reduce_sum(made.complete(features).behavior_sum[2])])
    assert tape.gradient(total, [features.attributes, features.behaviors]) == [None, None]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"units": ()}, r"`units` should be one or more widths of 1 or more. Received: \(\)"),
        ({"units": (3, 0)}, r"`units` should be one or more widths of 1 or more. Received: \(3, 0\)"),
        ({"dropout": 1.0}, "`dropout` should be at least 0 and below 1. Received: 1.0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        mail_pooled.ColdStart(**options)
