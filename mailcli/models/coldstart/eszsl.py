"""ESZSL, an embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015), for users."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf

from mailcli.models.coldstart._generated_steps import Matrix, MeanStepMethod, as_float64
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Tensor


class ColdStart(MeanStepMethod):
    """ESZSL: closed-form bilinear map between attributes and targets (Romera-Paredes, Torr, ICML 2015).

    A user is a class with signature s; an impression is an instance with target x. V makes xᵀ V s large where old users
    clicked. V s times the mean action, scaled to the length of old users' mean steps, is a new user's mean step (ours).

    Args:
        gamma: γ, ridge penalty on the target side, per impression (ours).
        penalty: λ, ridge penalty on the signature side, per user (ours).
    """

    def __init__(self, gamma: float = 0.01, penalty: float = 0.01, **kwargs: Any) -> None:
        if gamma <= 0 or penalty <= 0:
            raise ValueError(f"`gamma` and `penalty` should be positive. Received: {gamma} and {penalty}")
        super().__init__({"gamma": gamma, "penalty": penalty}, **kwargs)

    def make_weights(self, signature_size: int, dim: int) -> None:
        """Make V, zero before `fit`."""
        shape = (dim, signature_size)
        self.bilinear = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="bilinear")

    def fit(self, training: TrainingData) -> None:
        """Accumulate X Xᵀ and X Y Sᵀ over old users' impressions and S Sᵀ over these users, then solve for V."""
        n_x, n_s = self.bilinear.shape
        xx, xys, ss = np.zeros((n_x, n_x)), np.zeros((n_x, n_s)), np.zeros((n_s, n_s))
        # Centered: with few clicks, labels of -1 and 1 would mostly reflect which targets are shown.
        label = training.clicks - training.clicks[training.old].mean()
        start = 0
        for features in training.features():
            batch = slice(start, start + len(features.is_new))
            start = batch.stop
            old = training.old[batch]
            x, s = (as_float64(tensor)[old] for tensor in (features.query, self.signature(features)))
            xx += x.T @ x
            xys += x.T @ (label[batch][old, None] * s)
        square, action, count = 0.0, np.zeros(n_x), 0
        for features in training.old_users():
            s, steps = self.signature_and_mean_step(features)
            ss += s.T @ s
            square += float((steps**2).sum())
            action_counts = np.bincount(features.action_ids.numpy().ravel(), minlength=len(features.action_table))
            action += action_counts @ as_float64(features.action_table)
            count += int(np.count_nonzero(features.behavior_mask))
        impressions, users = int(training.old.sum()), len(training.last_impressions())
        v = solve(xx, xys, ss, self.settings["gamma"] * impressions, self.settings["penalty"] * users)
        # A step is an item embedding times an action embedding: from the space of targets to that of steps.
        v *= action[:, None] / count
        # The mean of |V s|² over users is trace(V (S Sᵀ) Vᵀ) / users.
        length = np.sqrt(np.trace(v @ ss @ v.T) / users)
        self.bilinear.assign(v * np.sqrt(square / users) / length if length else v)
        self.fit_lengths(training)

    def mean_step(self, signatures: Tensor) -> Tensor:
        """V s."""
        return tf.matmul(signatures, self.bilinear, transpose_b=True)


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
