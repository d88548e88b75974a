"""LLAE, a linear low-rank denoising autoencoder (Li et al., AAAI 2019), a row of MAIL Table 2."""

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
    """LLAE: low-rank linear autoencoder between behavior and attributes (Li et al., AAAI 2019).

    Behavior x, the mean step, is encoded as W x ~ s, the attributes, and decoded as Wᵀ s; a new user's x is Wᵀ s. Only
    Gram matrices over the old users are kept.

    Args:
        low_rank_weight: β (MAIL Sec. 4.1.4).
        reconstruction_weight: λ (the published code's example).
        rank: r, singular vectors of W Wᵀ that are not penalised (ours).
        corruption: share of x's entries that are zeroed while encoding (ours).
        iterations: of the two steps (published code).
    """

    two_stage = True

    def __init__(
        self,
        low_rank_weight: float = 30.0,
        reconstruction_weight: float = 2.0,
        rank: int = 16,
        corruption: float = 0.1,
        iterations: int = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rank < 1 or iterations < 1:
            raise ValueError(f"`rank` and `iterations` should be 1 or more. Received: {rank} and {iterations}")
        if low_rank_weight < 0 or reconstruction_weight <= 0:
            raise ValueError("`low_rank_weight` should be at least 0 and `reconstruction_weight` above it")
        if not 0 <= corruption < 1:
            raise ValueError(f"`corruption` should be at least 0 and below 1. Received: {corruption}")
        self.settings: dict[str, Any] = {
            "low_rank_weight": low_rank_weight,
            "reconstruction_weight": reconstruction_weight,
            "rank": rank,
            "corruption": corruption,
            "iterations": iterations,
        }
        self.steps = VirtualSteps()

    def build_for(self, spec: Spec) -> None:
        """Make W, zero before `fit`."""
        self.id_place = spec.id_place
        shape = (signature_size(spec), spec.dim)
        self.projection = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="projection")
        self.steps.build_for(spec)

    def fit(self, training: TrainingData) -> None:
        """Accumulate S Sᵀ, S Xᵀ, S X_cᵀ and X_c X_cᵀ over old users, then solve for W."""
        s = self.settings
        rng = np.random.default_rng([training.seed, 0])
        n_s, n_x = self.projection.shape
        ss, sx, sxc, xcxc = (np.zeros(shape) for shape in ((n_s, n_s), (n_s, n_x), (n_s, n_x), (n_x, n_x)))
        for old in training.old_users():
            a, x = (t.numpy().astype(np.float64) for t in (signature(old, self.id_place), mean_behavior(old)))
            corrupted = x * (rng.random(x.shape) >= s["corruption"])
            ss += a.T @ a
            sx += a.T @ x
            sxc += a.T @ corrupted
            xcxc += corrupted.T @ corrupted
        projections = solve(
            ss, sx, sxc, xcxc, s["reconstruction_weight"], s["low_rank_weight"], s["rank"], s["iterations"]
        )
        self.projection.assign(projections[-1])
        self.steps.fit(training)

    def complete(self, features: Features, training: bool = False) -> Features:
        """Wᵀ s as the mean step of new users."""
        del training
        new = features.rows(tf.where(features.is_new)[:, 0])
        return self.steps(features, tf.matmul(signature(new, self.id_place), self.projection))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


def solve(
    ss: Matrix,
    sx: Matrix,
    sxc: Matrix,
    xcxc: Matrix,
    reconstruction_weight: float,
    low_rank_weight: float,
    rank: int,
    iterations: int,
) -> list[Matrix]:
    """W [n_s, n_x] after each iteration (published MATLAB code).

    A W + W B = C with A = S Sᵀ + β U, B = λ X_c X_cᵀ, C = S Xᵀ + λ S X_cᵀ; then U = I - V Vᵀ with V the first r left
    singular vectors of W Wᵀ. U = 0 at first.

    Args:
        ss, sx, sxc, xcxc: S Sᵀ, S Xᵀ, S X_cᵀ and X_c X_cᵀ.
        reconstruction_weight: λ.
        low_rank_weight: β.
        rank: r.
        iterations: how many.
    """
    found = []
    penalty = np.zeros_like(ss)
    for _ in range(iterations):
        a, b = ss + low_rank_weight * penalty, reconstruction_weight * xcxc
        w = np.asarray(scipy.linalg.solve_sylvester(a, b, sx + reconstruction_weight * sxc), np.float64)
        found.append(w)
        vectors = scipy.linalg.svd(w @ w.T)[0][:, :rank]
        penalty = np.eye(len(ss)) - vectors @ vectors.T
    return found
