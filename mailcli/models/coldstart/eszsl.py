"""ESZSL, an embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015), for users."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models.coldstart._virtual_steps import VirtualSteps, signature, signature_size
from mailcli.models.contracts import ColdStartMethod, TrainingData
from mailcli.models.features import Features, Spec, mean_behavior

Matrix = NDArray[np.float64]


class ColdStart(ColdStartMethod):
    """ESZSL: closed-form bilinear map of attributes and targets (Romera-Paredes, Torr, ICML 2015).

    A user is a class, s its signature; an impression is an instance, its target x. V makes xᵀ V s large where old users
    clicked. V s, times the mean action, is taken for a new user's mean step, as long as old users' are (ours).

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
        shape = (spec.dim, signature_size(spec))
        self.bilinear = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="bilinear")
        self.steps.build_for(spec)

    def fit(self, training: TrainingData) -> None:
        """Accumulate X Xᵀ and X Y Sᵀ over old users' impressions and S Sᵀ over these users, then solve for V."""
        n_x, n_s = self.bilinear.shape
        xx, xys, ss = np.zeros((n_x, n_x)), np.zeros((n_x, n_s)), np.zeros((n_s, n_s))
        # Centred: where few are clicked, -1 and 1 would mostly tell what is shown.
        label = training.clicks - training.clicks[training.old].mean()
        at = 0
        for features in training.features():
            batch = slice(at, at + len(features.is_new))
            at = batch.stop
            old = training.old[batch]
            x, s = (t.numpy().astype(np.float64)[old] for t in (features.query, signature(features, self.id_place)))
            xx += x.T @ x
            xys += x.T @ (label[batch][old, None] * s)
        square, action, count = 0.0, np.zeros(n_x), 0
        for features in training.old_users():
            s, steps = (
                t.numpy().astype(np.float64) for t in (signature(features, self.id_place), mean_behavior(features))
            )
            ss += s.T @ s
            square += float((steps**2).sum())
            steps_of = np.bincount(features.action_ids.numpy().ravel(), minlength=len(features.action_table))
            action += steps_of @ features.action_table.numpy().astype(np.float64)
            count += int(np.count_nonzero(features.behavior_mask))
        impressions, users = int(training.old.sum()), len(training.last_of_each())
        v = solve(xx, xys, ss, self.settings["gamma"] * impressions, self.settings["penalty"] * users)
        # A step is an item's embedding times its action's: from the target's space to that of steps.
        v *= action[:, None] / count
        # Mean of |V s|² over users = trace(V (S Sᵀ) Vᵀ) / users.
        length = np.sqrt(np.trace(v @ ss @ v.T) / users)
        self.bilinear.assign(v * np.sqrt(square / users) / length if length else v)
        self.steps.fit(training)

    def complete(self, features: Features, training: bool = False) -> Features:
        """V s as the mean step of new users."""
        del training
        new = features.rows(tf.where(features.is_new)[:, 0])
        return self.steps(features, tf.matmul(signature(new, self.id_place), self.bilinear, transpose_b=True))

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
