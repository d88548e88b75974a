"""LLAE, a linear low-rank denoising autoencoder (Li et al., AAAI 2019), a row of MAIL Table 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import tensorflow as tf

from mailcli.data.seed_streams import CORRUPTED_ENTRIES
from mailcli.models.coldstart._generated_steps import Matrix, MeanStepMethod
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Tensor
from mailcli.utils.option_checks import check_least, check_rates


class ColdStart(MeanStepMethod):
    """LLAE: low-rank linear autoencoder between behavior and attributes (Li et al., AAAI 2019).

    The mean step x of each old user's history and the attributes s are both scaled to length 1 (published code); x is
    encoded as W x ≈ s and decoded as Wᵀ s. A new user's mean step is b + c Wᵀ s; the published code compares only
    directions, and b and c, by least squares on old users, give these a length (ours). `fit` keeps only Gram
    matrices over the old users. For a ranker that adds one score for Σ v to each impression of a user, like EmbLR, GAUC
    cannot change: the score is the same for all of the user's impressions.

    Args:
        low_rank_weight: β (MAIL Sec. 4.1.4).
        reconstruction_weight: λ (the published code's example).
        rank: r, the number of singular vectors of W Wᵀ that are not penalized (published code).
        corruption: share of the entries of x that are zeroed for encoding (published code).
        iterations: how often the two alternating updates are made (published code).
    """

    def __init__(
        self,
        low_rank_weight: float = 30.0,
        reconstruction_weight: float = 2.0,
        rank: int = 36,
        corruption: float = 0.05,
        iterations: int = 5,
        **kwargs: Any,
    ) -> None:
        check_least(1, rank=rank, iterations=iterations)
        if low_rank_weight < 0:
            raise ValueError(f"`low_rank_weight` should be at least 0. Received: {low_rank_weight}")
        if reconstruction_weight <= 0:
            raise ValueError(f"`reconstruction_weight` should be above 0. Received: {reconstruction_weight}")
        check_rates(corruption=corruption)
        weights = {"low_rank_weight": low_rank_weight, "reconstruction_weight": reconstruction_weight}
        super().__init__({**weights, "rank": rank, "corruption": corruption, "iterations": iterations}, **kwargs)

    def make_weights(self, signature_size: int, dim: int) -> None:
        """Make c W and b, zero before `fit`."""
        shape = (signature_size, dim)
        self.projection = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="projection")
        self.offset = self.add_weight(shape=(dim,), initializer="zeros", trainable=False, name="offset")

    def fit(self, training: TrainingData) -> None:
        """Accumulate S Sᵀ, S Xᵀ, S X_cᵀ and X_c X_cᵀ over old users, solve for W, then for b and c."""
        s = self.settings
        rng = np.random.default_rng([training.seed, CORRUPTED_ENTRIES])
        n_s, n_x = self.projection.shape
        ss, sx, sxc, xcxc = (np.zeros(shape) for shape in ((n_s, n_s), (n_s, n_x), (n_s, n_x), (n_x, n_x)))
        count, sum_s, sum_step, s_step = 0, np.zeros(n_s), np.zeros(n_x), np.zeros((n_s, n_x))
        for features in training.old_users():
            signatures, steps = self.signature_and_mean_step(features)
            a, x = normalize(signatures), normalize(steps)
            corrupted = x * (rng.random(x.shape) >= s["corruption"])
            ss += a.T @ a
            sx += a.T @ x
            sxc += a.T @ corrupted
            xcxc += corrupted.T @ corrupted
            count += len(a)
            sum_s += a.sum(axis=0)
            sum_step += steps.sum(axis=0)
            s_step += a.T @ steps
        w = solve(ss, sx, sxc, xcxc, s["reconstruction_weight"], s["low_rank_weight"], s["rank"], s["iterations"])[-1]
        # Least squares of the mean steps on b + c Wᵀ s: c = covariance / variance, summed over the dimensions.
        mean_decoded, mean_step = sum_s @ w / count, sum_step / count
        covariance = np.sum(w * s_step) / count - mean_decoded @ mean_step
        variance = np.sum(w * (ss @ w)) / count - mean_decoded @ mean_decoded
        scale = covariance / variance if variance > 0 else 0.0
        self.projection.assign(scale * w)
        self.offset.assign(mean_step - scale * mean_decoded)
        self.fit_lengths(training)

    def mean_step(self, signatures: Tensor) -> Tensor:
        """b + c Wᵀ s."""
        return self.offset + tf.matmul(tf.math.l2_normalize(signatures, axis=1), self.projection)


def normalize(rows: Matrix) -> Matrix:
    """Each row scaled to length 1; zeros stay zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


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

    Solves A W + W B = C with A = S Sᵀ + β U, B = λ X_c X_cᵀ, C = S Xᵀ + λ S X_cᵀ; then U = I - V Vᵀ, where V are the
    first r left singular vectors of W Wᵀ. U starts at 0.

    Args:
        ss, sx, sxc, xcxc: S Sᵀ, S Xᵀ, S X_cᵀ and X_c X_cᵀ.
        reconstruction_weight: λ.
        low_rank_weight: β.
        rank: r.
        iterations: how often both steps are done.
    """
    projections = []
    penalty = np.zeros_like(ss)
    for _ in range(iterations):
        a, b = ss + low_rank_weight * penalty, reconstruction_weight * xcxc
        w = np.asarray(scipy.linalg.solve_sylvester(a, b, sx + reconstruction_weight * sxc), np.float64)
        projections.append(w)
        vectors = scipy.linalg.svd(w @ w.T)[0][:, :rank]
        penalty = np.eye(len(ss)) - vectors @ vectors.T
    return projections
