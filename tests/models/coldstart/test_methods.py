"""Each cold-start method's own formula, against reference outputs or numbers worked out in another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from mailcli.models.coldstart import conse, cvae, dropout, eszsl, llae, metaemb
from mailcli.models.coldstart._virtual_steps import VirtualSteps, signature, signature_size
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Features
from mailcli.models.losses import kl_divergence
from tests.helpers.features import DIM, N_V, some_features, spec

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "llae_reference.npz"


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(3)


def rows_of(features: Features, places: Any) -> Features:
    return features.rows(tf.constant(np.asarray(places), tf.int32))


def training(features: Features, clicks: Any, users: Any, batch: int = 4, ranker: Any = None) -> TrainingData:
    """Impressions as a two-stage method gets them, in batches."""
    count = len(users)
    return TrainingData(
        features=lambda: (rows_of(features, range(at, min(at + batch, count))) for at in range(0, count, batch)),
        gather=lambda places: rows_of(features, places),
        clicks=np.asarray(clicks, np.float32),
        users=np.asarray(users),
        old=~features.is_new.numpy(),
        ranker=ranker,
        seed=0,
    )


def mean_steps(features: Features) -> np.ndarray:
    v, mask = features.behaviors.numpy().astype(np.float64), features.behavior_mask.numpy()
    return np.array(
        [steps[real].mean(axis=0) if real.any() else np.zeros(DIM) for steps, real in zip(v, mask, strict=True)]
    )


def signatures(features: Features) -> np.ndarray:
    return features.attributes.numpy().astype(np.float64)[:, 1:].reshape(len(features.attributes), -1)


class TestLlae:
    """tests/golden/llae_reference.npz: the published code, run in Octave."""

    def test_five_projections_of_the_published_code(self) -> None:
        case = np.load(GOLDEN)
        x, s, xc = (case[name] for name in ("behavior", "attributes", "behavior_corrupted"))
        found = llae.solve(
            s @ s.T,
            s @ x.T,
            s @ xc.T,
            xc @ xc.T,
            reconstruction_weight=float(case["reconstruction_weight"]),
            low_rank_weight=float(case["low_rank_weight"]),
            rank=int(case["rank"]),
            iterations=5,
        )
        np.testing.assert_allclose(found, case["projections"], atol=1e-8)

    def test_gram_matrices_over_batches_are_those_of_the_whole(self) -> None:
        features = some_features(30, new=[3, 17])
        method = llae.ColdStart(corruption=0.0, rank=2)
        method.build_for(spec())
        method.fit(training(features, np.zeros(30), np.arange(30)))
        old = ~features.is_new.numpy()
        s, x = signatures(features)[old].T, mean_steps(features)[old].T  # a user has one impression here
        expected = llae.solve(s @ s.T, s @ x.T, s @ x.T, x @ x.T, 2.0, 30.0, 2, 5)[-1]
        np.testing.assert_allclose(method.projection, expected, atol=1e-5)
        # 28 histories of 73 steps.
        assert float(method.steps.length) == 3
        completed = method.complete(features)
        np.testing.assert_allclose(completed.behaviors[3, -1], signatures(features)[3] @ expected, atol=1e-4)


class TestVirtualSteps:
    """Equal steps at the end of an empty history."""

    def test_new_users_alone_are_changed(self) -> None:
        steps = VirtualSteps()
        steps.build_for(spec())
        steps.length.assign(3)
        features = some_features(4, new=[1])
        done = steps(features, tf.constant([[5.0, 6.0]]))
        assert done.behaviors[1].numpy().tolist() == [[0, 0], [5, 6], [5, 6], [5, 6]]
        assert done.behavior_mask[1].numpy().tolist() == [False, True, True, True]
        for row in (0, 2, 3):
            np.testing.assert_array_equal(done.behaviors[row], features.behaviors[row])

    def test_the_id_is_left_out_of_the_description(self) -> None:
        features = some_features(2)
        np.testing.assert_array_equal(signature(features, 0), features.attributes.numpy()[:, 1:].reshape(2, -1))
        assert signature_size(spec()) == 4
        with pytest.raises(ValueError, match="needs user attributes besides the id"):
            signature_size(spec(n_a=1))


class TestEszsl:
    """The closed form, against the linear equations that it solves."""

    def test_the_gradient_of_the_objective_is_zero(self) -> None:
        rng = np.random.default_rng(0)
        x, y, s = rng.normal(size=(3, 20)), rng.normal(size=(20, 6)), rng.normal(size=(4, 6))
        gamma, penalty = 0.7, 0.3
        v = eszsl.solve(x @ x.T, x @ y @ s.T, s @ s.T, gamma, penalty)

        def objective(values: np.ndarray) -> float:
            w = values.reshape(3, 4)
            fit = ((x.T @ w @ s - y) ** 2).sum()
            ridge = gamma * ((w @ s) ** 2).sum() + penalty * ((x.T @ w) ** 2).sum() + gamma * penalty * (w**2).sum()
            return float(fit + ridge)

        for direction in np.eye(12):
            slope = objective(v.ravel() + 1e-4 * direction) - objective(v.ravel() - 1e-4 * direction)
            assert abs(slope) < 1e-7

    def test_fit_solves_for_old_users_and_scales_to_their_steps(self) -> None:
        features = some_features(12, new=[5])
        users = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 4])
        # One user has one set of attributes.
        first = {user: int(np.flatnonzero(users == user)[0]) for user in users}
        attributes = features.attributes.numpy()[[first[user] for user in users]]
        features = features._replace(attributes=tf.constant(attributes))
        clicks = np.array([1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0.0])
        method = eszsl.ColdStart(gamma=0.5, penalty=0.25)
        method.build_for(spec())
        method.fit(training(features, clicks, users))
        old = ~features.is_new.numpy()
        x = features.query.numpy()[old].T.astype(np.float64)
        s = signatures(features)[[0, 3, 6, 9]].T
        y = np.zeros((11, 4))
        y[np.arange(11), [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]] = clicks[old] - 3 / 11
        big = np.kron(s @ s.T + 4 * 0.25 * np.eye(4), x @ x.T + 11 * 0.5 * np.eye(2))
        v = np.linalg.solve(big, (x @ y @ s.T).ravel(order="F")).reshape(2, 4, order="F")
        last = [2, 4, 8, 11]  # user 2's only impression is a new one's
        real = features.behavior_mask.numpy()[last]
        v *= features.action_table.numpy()[features.action_ids.numpy()[last][real]].mean(axis=0)[:, None]
        v *= np.sqrt((mean_steps(features)[last] ** 2).sum(axis=1).mean() / ((v @ s) ** 2).sum(axis=0).mean())
        np.testing.assert_allclose(method.bilinear, v, rtol=1e-4, atol=1e-6)
        steps = method.complete(features).behaviors[5, -1]
        np.testing.assert_allclose(steps, v @ signatures(features)[5], rtol=1e-3, atol=1e-5)


class TestConse:
    """A convex combination, by hand."""

    def test_the_nearest_users_are_combined(self) -> None:
        keys = tf.constant([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]])
        values = tf.constant([[10.0], [20.0], [30.0], [99.0]])
        real = tf.constant([True, True, True, False])
        # Cosines with (1, 1): .7071, .7071, -.7071; with (1, 0): 1, 0, -1.
        found = conse.combine(tf.constant([[1.0, 1.0], [1.0, 0.0]]), keys, values, real, 2, temperature=0.5)
        p = np.exp(2.0) / (np.exp(2.0) + 1)
        np.testing.assert_allclose(found[:, 0], [15.0, 10 * p + 20 * (1 - p)], atol=1e-5)

    def test_fewer_users_than_neighbors(self) -> None:
        keys, values = tf.constant([[1.0, 0.0], [0.0, 0.0]]), tf.constant([[7.0], [99.0]])
        found = conse.combine(tf.constant([[1.0, 1.0]]), keys, values, tf.constant([True, False]), 2, 0.1)
        assert found.numpy().tolist() == [[7.0]]

    def test_references_are_the_last_impressions_of_old_users(self) -> None:
        features = some_features(6, new=[5])
        method = conse.ColdStart(neighbors=1, references=8, temperature=0.01)
        method.build_for(spec())
        method.fit(training(features, np.zeros(6), [7, 7, 7, 9, 9, 11]))
        assert int(method.count) == 2
        np.testing.assert_allclose(method.values[:2], mean_steps(features)[[2, 4]], atol=1e-6)
        np.testing.assert_allclose(method.keys[:2], signatures(features)[[2, 4]], atol=1e-6)


class TestMetaemb:
    """The inner step, by hand for a linear ranker."""

    def test_the_loss_after_one_inner_step(self) -> None:
        weight = np.array([0.8, -1.7])
        method = metaemb.ColdStart(alpha=0.3, inner_rate=0.5, impressions=2)
        method.build_for(spec())

        def ranker(features: Features) -> Any:
            return (
                tf.linalg.matvec(features.attributes[:, 0], tf.constant(weight, tf.float32)) + features.context[:, 0, 0]
            )

        cold, warm = some_features(4, seed=1), some_features(4, seed=2)
        click, later = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
        data = training(cold, click, np.arange(4), ranker=ranker)
        # Rows 0 and 1 are one user's, 2 and 3 another's; the first row's attributes stand for the user.
        s = signatures(cold)[[0, 2]]
        phi = np.tanh(s @ method.kernel.numpy()) / 5
        loss = 0.0
        stepped = np.empty_like(phi)
        for number, user in enumerate(phi):
            rows = slice(2 * number, 2 * number + 2)
            z = user @ weight + cold.context.numpy()[rows, 0, 0]
            p = 1 / (1 + np.exp(-z))
            loss += 0.3 * np.mean(-click[rows] * np.log(p) - (1 - click[rows]) * np.log(1 - p)) / 2
            stepped[number] = user - 0.5 * np.mean(p - click[rows]) * weight
            z = stepped[number] @ weight + warm.context.numpy()[rows, 0, 0]
            p = 1 / (1 + np.exp(-z))
            loss += 0.7 * np.mean(-later[rows] * np.log(p) - (1 - later[rows]) * np.log(1 - p)) / 2
        found = method.meta_loss(data, cold, tf.constant(click, tf.float32), warm, tf.constant(later, tf.float32))
        assert float(found) == pytest.approx(loss, abs=1e-6)

    def test_fit_lowers_the_loss_of_what_the_id_would_tell(self) -> None:
        """Clicks follow an attribute; the ranker sees the id's embedding alone."""
        features = some_features(64)
        clicks = (features.attributes.numpy()[:, 1, 0] > 0).astype(np.float32)

        def ranker(x: Features) -> Any:
            return 20 * x.attributes[:, 0, 0]

        data = training(features, clicks, np.arange(64), ranker=ranker)
        method = metaemb.ColdStart(steps=60, users=16, impressions=2, learning_rate=0.05)
        method.build_for(spec())

        def loss() -> float:
            completed = method.complete(features._replace(is_new=tf.ones_like(features.is_new)))
            return float(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(clicks, ranker(completed))))

        before = loss()
        method.fit(data)
        assert loss() < 0.6 * before

    def test_new_users_ids_alone_are_replaced(self) -> None:
        method = metaemb.ColdStart()
        method.build_for(spec())
        features = some_features(3, new=[1])
        done = method.complete(features)
        np.testing.assert_array_equal(done.attributes.numpy()[[0, 2]], features.attributes.numpy()[[0, 2]])
        expected = np.tanh(signatures(features)[1] @ method.kernel.numpy()) / 5
        np.testing.assert_allclose(done.attributes[1, 0], expected, atol=1e-6)
        np.testing.assert_array_equal(done.attributes[1, 1:], features.attributes[1, 1:])
        np.testing.assert_array_equal(done.behaviors, features.behaviors)

    def test_two_batches_show_the_same_users(self) -> None:
        features = some_features(12, new=[0])
        users = np.repeat([3, 5, 8], 4)
        features = features._replace(target_id=tf.constant(users, tf.int32))
        draws = metaemb._Draws(training(features, np.zeros(12), users), np.random.default_rng(0), 5, 3)
        cold, _, warm, _ = draws.pair()
        np.testing.assert_array_equal(cold.target_id, warm.target_id)
        assert (cold.target_id.numpy().reshape(5, 3) == cold.target_id.numpy()[::3, None]).all()
        assert cold.is_new.numpy().all()
        assert not cold.behavior_mask.numpy().any()


class TestCvae:
    """KL of Gaussians, and what G_A trains."""

    def test_kl_is_that_of_the_densities(self) -> None:
        mean, deviation, prior_mean, prior_deviation = 0.3, 0.7, -0.4, 1.6
        x = np.linspace(-12, 12, 200_001)
        p, q = scipy.stats.norm(mean, deviation), scipy.stats.norm(prior_mean, prior_deviation)
        expected = np.trapezoid(p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), x)
        numbers = (mean, 2 * np.log(deviation), prior_mean, 2 * np.log(prior_deviation))
        found = kl_divergence(*(tf.constant([[value]], tf.float32) for value in numbers))
        assert float(found) == pytest.approx(expected, abs=1e-6)
        zeros = tf.zeros([3, 2])
        assert float(kl_divergence(zeros, zeros, zeros, zeros)) == 0
        assert float(kl_divergence(zeros[:0], zeros[:0], zeros[:0], zeros[:0])) == 0

    def test_new_users_get_the_decoded_prior_mean(self) -> None:
        method = cvae.ColdStart(latent=2, units=5, attention_units=3)
        method.build_for(spec())
        features = some_features(4, new=[1, 2])
        done = method.complete(features)
        again = method.complete(features)
        np.testing.assert_array_equal(done.behaviors, again.behaviors)
        np.testing.assert_array_equal(done.behaviors[0], features.behaviors[0])
        assert done.behaviors[1].shape == (N_V, DIM)
        assert np.abs(done.behaviors[1] - done.behaviors[2]).max() > 0

    def test_ten_steps_lower_the_losses(self) -> None:
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


class TestDropout:
    """Histories are hidden while training, at the asked rate."""

    def test_half_of_the_histories_at_training_none_at_inference(self) -> None:
        method = dropout.ColdStart(rate=0.3)
        method.build_for(spec())
        features = some_features(4000)
        assert method.complete(features) is features
        hidden = method.complete(features, training=True)
        share = hidden.is_new.numpy().mean()
        assert share == pytest.approx(0.3, abs=0.03)
        empty = hidden.is_new.numpy()
        for name in ("behaviors", "behavior_mask", "behavior_sum", "action_ids", "step_ids"):
            now, before = getattr(hidden, name).numpy(), getattr(features, name).numpy()
            assert not now[empty].any()
            np.testing.assert_array_equal(now[~empty], before[~empty])

    def test_the_rate_is_a_share(self) -> None:
        with pytest.raises(ValueError, match="`rate` should be between 0 and 1. Received: 1"):
            dropout.ColdStart(rate=1)
