"""ESZSL, an embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015), for users."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.contracts import ColdStartMethod, Features, Spec, TrainingData
from mailcli.towers import mean_behavior
from mailcli.virtual import VirtualSteps, describe

Matrix = NDArray[np.float64]


class ColdStart(ColdStartMethod):
    """ESZSL: closed-form bilinear map of attributes and targets (Romera-Paredes, Torr, ICML 2015).

    A user is a class, s its signature; an impression is an instance, its target x. V makes xᵀ V s large where old users
    clicked; V s is then a new user's interest, and its direction is taken for the mean step, its length that of old
    users' on average (ours).

    Args:
        gamma: γ, ridge on the targets' side, per impression.
        penalty: λ, ridge on the signatures' side, per user.
    """

    two_stage = True

    def __init__(self, gamma: float = 0.01, penalty: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if gamma <= 0 or penalty <= 0:
            raise ValueError(f"`gamma` and `penalty` should be positive. Received: {gamma} and {penalty}")
        self.settings = {"gamma": gamma, "penalty": penalty}
        self.steps = VirtualSteps()

    def build_for(self, spec: Spec) -> None:
        """Make V, zero before `fit`."""
        self.id_place = spec.id_place
        shape = (spec.dim, (spec.n_a - 1) * spec.dim)
        self.bilinear = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="bilinear")
        self.steps.build_for(spec)

    def fit(self, training: TrainingData) -> None:
        """Accumulate X Xᵀ and X Y Sᵀ over old users' impressions and S Sᵀ over these users, then solve for V."""
        n_x, n_s = self.bilinear.shape
        xx, xys, ss = np.zeros((n_x, n_x)), np.zeros((n_x, n_s)), np.zeros((n_s, n_s))
        clicks = [click.numpy() for _, click in training.features()]
        rate = float(np.concatenate(clicks)[training.old].mean())
        first = np.zeros(len(training.users), bool)
        places = np.flatnonzero(training.old)
        first[places[np.unique(training.users[places], return_index=True)[1]]] = True
        square = done = 0.0
        for features, click in training.features():
            batch = slice(int(done), int(done) + len(click))
            done += len(click)
            old = training.old[batch]
            x, s = (t.numpy().astype(np.float64)[old] for t in (features.query, describe(features, self.id_place)))
            # Centred: where few are clicked, -1 and 1 would mostly tell what is shown.
            y = click.numpy()[old] - rate
            xx += x.T @ x
            xys += x.T @ (y[:, None] * s)
            one_each = s[first[batch][old]]
            ss += one_each.T @ one_each
            square += float((mean_behavior(features).numpy()[old].astype(np.float64) ** 2).sum())
        impressions, users = int(training.old.sum()), int(first.sum())
        v = solve(xx, xys, ss, self.settings["gamma"] * impressions, self.settings["penalty"] * users)
        # Mean of |V s|² over users = trace(V (S Sᵀ) Vᵀ) / users.
        length = np.sqrt(np.trace(v @ ss @ v.T) / users)
        self.bilinear.assign(v * np.sqrt(square / impressions) / length if length else v)
        self.steps.fit(training)

    def complete(self, features: Features, training: bool = False) -> Features:
        """V s as the mean step of new users."""
        del training
        new = features.rows(tf.where(features.is_new)[:, 0])
        return self.steps(features, tf.matmul(describe(new, self.id_place), self.bilinear, transpose_b=True))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


def solve(xx: Matrix, xys: Matrix, ss: Matrix, gamma: float, penalty: float) -> Matrix:
    """V = (X Xᵀ + γ I)⁻¹ X Y Sᵀ (S Sᵀ + λ I)⁻¹: ESZSL Eq. (5).

    Args:
        xx, xys, ss: X Xᵀ, X Y Sᵀ and S Sᵀ.
        gamma: γ.
        penalty: λ.
    """
    left = scipy.linalg.solve(xx + gamma * np.eye(len(xx)), xys, assume_a="pos")
    solved: Matrix = scipy.linalg.solve(ss + penalty * np.eye(len(ss)), left.T, assume_a="pos").T
    return solved
