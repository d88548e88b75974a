"""What CVAE generates, and what G_A trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.coldstart import cvae
from tests.helpers.features import DIM, N_A, N_V, as_arrays, some_features, spec
from tests.helpers.networks import attention_pooling, two_layers


def test_new_users_get_the_decoded_prior_mean() -> None:
    method = cvae.ColdStart(latent=2, units=5, attention_units=3)
    method.build_for(spec())
    features = some_features(4, new=[1, 2])
    completed = method.complete(features)
    repeated = method.complete(features)
    np.testing.assert_array_equal(completed.behaviors, repeated.behaviors)
    np.testing.assert_array_equal(completed.behaviors[0], features.behaviors[0])
    assert completed.behaviors[1].shape == (N_V, DIM)
    assert np.abs(completed.behaviors[1] - completed.behaviors[2]).max() > 0


@pytest.mark.parametrize("training", [False, True])
def test_the_losses_and_what_is_generated_by_hand(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.array([[0.5, -1.0]] * 4)
    monkeypatch.setattr(distribute, "normal", lambda mean, random: tf.constant(noise, tf.float32))
    method = cvae.ColdStart(latent=2, units=3, attention_units=3, kl_weight=0.3)
    method.build_for(spec())
    features = some_features(4, new=[3])
    x, real = as_arrays(features), features.behavior_mask.numpy()

    def code(network: Any, pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        centered = pooled - pooled.mean(axis=1, keepdims=True)
        unit = centered / np.sqrt(pooled.var(axis=1, keepdims=True) + 1e-9)
        mean, log_variance = np.split(two_layers(network, unit), 2, axis=1)
        return mean, log_variance

    of_attributes = attention_pooling(method.pool_a, x["attributes"], np.ones((4, N_A), bool))
    prior_mean, prior_log_variance = code(method.prior, of_attributes)
    v_hat = two_layers(method.decoder, prior_mean[3:]).reshape(N_V, DIM)
    np.testing.assert_allclose(method.generate(features.attributes)[0][3], v_hat, atol=1e-5)

    old = slice(0, 3)
    monkeypatch.setattr(distribute, "normal", lambda mean, random: tf.constant(noise[old], tf.float32))
    losses = method.zero_shot_losses(features.rows(tf.range(3)), training=training)
    of_behavior = attention_pooling(method.pool_v, x["behaviors"][old], real[old])
    mean, log_variance = code(method.posterior, of_behavior)
    prior_mean, prior_log_variance = prior_mean[old], prior_log_variance[old]
    decoded = two_layers(method.decoder, mean + training * noise[old] * np.exp(log_variance / 2))
    error = np.mean((decoded - x["behaviors"][old].reshape(3, -1)) ** 2)
    ratio = (np.exp(log_variance) + (mean - prior_mean) ** 2) / np.exp(prior_log_variance)
    divergence = 0.5 * (prior_log_variance - log_variance - 1 + ratio).sum(axis=1).mean()
    # Without the constant log 2π: n/2 (1 + log σ²) of n = N_V · DIM = 8 numbers, σ² the mean squared error.
    assert float(losses["L_rec"]) == pytest.approx(4 * (1 + np.log(error)), rel=1e-4)
    assert float(losses["L_kl"]) == pytest.approx(0.3 * divergence, rel=1e-4)


def test_one_number_cannot_be_normalized() -> None:
    message = "embedding_dim = 1: the layer normalization of one number is 0. Expected 2 or more"
    with pytest.raises(ValueError, match=f"^{message}$"):
        cvae.ColdStart().build_for(spec(dim=1))


def test_ten_steps_lower_the_losses() -> None:
    method = cvae.ColdStart(latent=2, units=16, attention_units=3, kl_weight=0.1)
    method.build_for(spec())
    features = some_features(32)
    optimizer = keras.optimizers.Adam(0.01)

    def total(training: bool) -> Any:
        return tf.add_n(list(method.zero_shot_losses(features, training=training).values()))

    before = float(total(False))
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = total(True)
        variables = method.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    assert float(total(False)) < before
