"""What CVAE generates, and what G_A trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mailcli.models.coldstart import cvae
from tests.helpers.features import DIM, N_V, some_features, spec


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
