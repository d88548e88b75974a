"""CVAR: its loss by loops, and what it generates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import cvar
from mailcli.models.features import Features
from tests.helpers.features import DIM, signatures, some_features, spec, training_data
from tests.helpers.networks import two_layers

#: How much a linear ranker reads of each number of the id embedding.
WEIGHT = np.array([0.8, -1.7])


def method(**options: Any) -> cvar.ColdStart:
    made = cvar.ColdStart(**{"latent": 2, "units": 3, **options})
    made.build_for(spec())
    return made


def measured(made: cvar.ColdStart) -> cvar.ColdStart:
    """With means and scales as if `fit` had measured them."""
    rng = np.random.default_rng(5)
    made.id_mean.assign(rng.normal(size=DIM))
    made.signature_mean.assign(rng.normal(size=2 * DIM))
    for weight, value in ((made.id_scale, 0.5), (made.signature_scale, 2.0), (made.frequency, 0.7)):
        weight.assign(value)
    return made


def ranker(features: Features) -> Any:
    return (
        tf.linalg.matvec(features.attributes[:, 0], tf.constant(WEIGHT, tf.float32))
        + tf.reduce_sum(features.behavior_sum, axis=1)
        + features.context[:, 0, 0]
    )


def test_the_distance_of_two_gaussians() -> None:
    """N(1, 2²) and N(3, 1): (1 - 3)² + (2 - 1)² = 5; a second number that is alike adds 0."""
    log4 = float(np.log(4))
    given = [[[1.0, 7.0]], [[log4, 0.0]], [[3.0, 7.0]], [[0.0, 0.0]]]
    np.testing.assert_allclose(cvar.squared_wasserstein(*(tf.constant(x) for x in given)), [5.0], rtol=1e-6)


def test_frequencies_are_logarithms_of_the_largest() -> None:
    """Users with 3, 1 and 7 impressions: log 4 / log 8 = 2/3, log 2 / log 8 = 1/3, 1."""
    users = np.array([0, 2, 0, 0, *[5] * 7])
    np.testing.assert_allclose(cvar.frequencies_of(users), [2 / 3, 1 / 3, 2 / 3, 2 / 3, *[1.0] * 7])


def test_the_losses_by_loops() -> None:
    features = some_features(4)
    made = measured(method(reconstruction_weight=0.3, distance_weight=0.4))
    clicks, frequency = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.2, 0.5, 1.0, 0.1])
    noise = np.random.default_rng(6).normal(size=(4, 2))
    click, reconstruction, distance = 0.0, 0.0, 0.0
    for row in range(4):
        e = (features.attributes.numpy()[row, 0] - made.id_mean.numpy()) / 0.5
        s = (signatures(features)[row] - made.signature_mean.numpy()) / 2.0
        (m1, m2, v1, v2), (p1, p2, u1, u2) = two_layers(made.posterior, e), two_layers(made.prior, s)
        z = [m1 + noise[row, 0] * np.sqrt(np.exp(v1)), m2 + noise[row, 1] * np.sqrt(np.exp(v2))]
        decoded = two_layers(made.decoder, np.array([*z, frequency[row]]))
        phi = made.id_mean.numpy() + 0.5 * decoded
        # Behavior is hidden, so the ranker sees the id and the context.
        p = 1 / (1 + np.exp(-(phi @ WEIGHT + features.context.numpy()[row, 0, 0])))
        click -= np.log(p if clicks[row] else 1 - p) / 4
        reconstruction += 0.3 * np.mean((decoded - e) ** 2) / 4
        deviations = [np.sqrt(np.exp(v)) - np.sqrt(np.exp(u)) for v, u in ((v1, u1), (v2, u2))]
        distance += 0.4 * ((m1 - p1) ** 2 + (m2 - p2) ** 2 + sum(x * x for x in deviations)) / 4
    numbers = [tf.constant(x, tf.float32) for x in (clicks, frequency, noise)]
    losses = made.losses_of(training_data(features, clicks, np.arange(4), ranker=ranker), features, *numbers)
    expected = {"click": click, "reconstruction": reconstruction, "distance": distance}
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)


def test_new_users_ids_alone_are_replaced() -> None:
    features = some_features(3, new=[1])
    made = measured(method())
    completed = made.complete(features)
    np.testing.assert_array_equal(completed.attributes.numpy()[[0, 2]], features.attributes.numpy()[[0, 2]])
    np.testing.assert_array_equal(completed.attributes[1, 1:], features.attributes[1, 1:])
    np.testing.assert_array_equal(completed.behaviors, features.behaviors)
    mean = two_layers(made.prior, (signatures(features)[1] - made.signature_mean.numpy()) / 2.0)[:2]
    expected = made.id_mean.numpy() + 0.5 * two_layers(made.decoder, np.array([*mean, 0.7]))
    np.testing.assert_allclose(completed.attributes[1, 0], expected, rtol=1e-4, atol=1e-6)


def test_fit_measures_old_users() -> None:
    """Users 0 and 1, who are old, with 1 and 3 impressions; user 2 is new."""
    features = some_features(5, new=[4])
    made = method(steps=1, batch_size=2)
    made.fit(training_data(features, np.zeros(5), np.array([0, 1, 1, 1, 2]), ranker=ranker))
    # log 2 / log 4 = 1/2, and 1.
    assert float(made.frequency) == pytest.approx(0.75)
    ids, others = features.attributes.numpy()[[0, 3], 0], signatures(features)[[0, 3]]
    for values, mean, scale in (
        (ids, made.id_mean, made.id_scale),
        (others, made.signature_mean, made.signature_scale),
    ):
        np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-5, atol=1e-6)
        assert float(scale) == pytest.approx(np.sqrt(np.mean((values - values.mean(axis=0)) ** 2)), rel=1e-4)


def test_fit_finds_ids_that_follow_from_attributes() -> None:
    """e = 0.01 (s_1, s_2): what is generated for new users lies closer to theirs than the mean id, however small."""
    features = some_features(400, new=list(range(300, 400)))
    truth = 0.01 * features.attributes[:, 1]
    known = features._replace(attributes=tf.concat([truth[:, None], features.attributes[:, 1:]], axis=1))
    made = method(units=16, steps=400, batch_size=64, learning_rate=0.01)
    made.fit(training_data(known, np.zeros(400), np.arange(400), batch=400, ranker=ranker))
    generated, expected = made.complete(features).attributes.numpy()[300:, 0], truth.numpy()[300:]
    error = np.mean((generated - expected) ** 2)
    assert error < 0.3 * np.mean((truth.numpy()[:300].mean(axis=0) - expected) ** 2)


def test_users_who_are_all_alike_get_a_finite_id() -> None:
    features = some_features(4, new=[3])
    same = features._replace(attributes=tf.ones_like(features.attributes))
    made = method(steps=2, batch_size=2)
    made.fit(training_data(same, np.array([0.0, 1, 0, 1]), np.arange(4), ranker=ranker))
    np.testing.assert_allclose(made.complete(same).attributes[3, 0], [1.0, 1.0])


def test_an_id_alone_is_not_enough() -> None:
    with pytest.raises(ValueError, match="needs user attributes other than the id, but the dataset has none"):
        cvar.ColdStart().build_for(spec(n_a=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "`latent`, `units`, `steps` and `batch_size` should be 1 or more"),
        ({"distance_weight": -1.0}, "`reconstruction_weight` and `distance_weight` should be at least 0"),
        ({"learning_rate": 0.0}, "`learning_rate` should be positive. Received: 0.0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cvar.ColdStart(**options)
