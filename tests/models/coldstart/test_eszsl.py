"""The closed form of ESZSL, against the linear equations that it solves."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.coldstart import eszsl
from tests.helpers.features import mean_steps, signatures, some_features, spec, training_data


def test_the_gradient_of_the_objective_is_zero() -> None:
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


def test_fit_solves_for_old_users_and_scales_to_their_steps() -> None:
    features = some_features(12, new=[5])
    users = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 4])
    # One user has one set of attributes.
    first = {user: int(np.flatnonzero(users == user)[0]) for user in users}
    attributes = features.attributes.numpy()[[first[user] for user in users]]
    features = features._replace(attributes=tf.constant(attributes))
    clicks = np.array([1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0.0])
    method = eszsl.ColdStart(gamma=0.5, penalty=0.25)
    method.build_for(spec())
    method.fit(training_data(features, clicks, users))
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
