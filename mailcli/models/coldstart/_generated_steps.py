"""Generated behavior for methods that predict one vector per user: the mean step of its history.

Every new user gets as many equal steps as their attributes predict, so that rankers that sum a history and rankers that
attend to it both see what they are used to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import scipy.linalg
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.seed_streams import REFERENCE_USERS
from mailcli.models.coldstart._signatures import SignatureMethod, signature_size
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Features, Spec, Tensor, mean_behavior, replace_behaviors
from mailcli.models.history_length import last_steps_mask

Matrix = NDArray[np.float64]

#: Ridge penalty of the regression of lengths, relative to the mean variance of a signature's entries (ours).
LENGTH_PENALTY = 0.01


class GeneratedSteps(keras.layers.Layer):
    """Puts a predicted mean step in place of the empty histories of new users, as often as their signature predicts.

    n̂ = n̄ + wᵀ(s - s̄), by ridge regression of the lengths of old users' histories on their signatures.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def build_for(self, n_v: int, signature_size: int) -> None:
        """Make w and n̄ - wᵀs̄, which are 0 and 1 before `fit`."""
        self.n_v = n_v
        self.slope = self.add_weight(shape=(signature_size,), initializer="zeros", trainable=False, name="slope")
        self.intercept = self.add_weight(shape=(), initializer="ones", trainable=False, name="length")
        self.built = True

    def fit(self, signatures_and_lengths: Iterable[tuple[Matrix, Matrix]]) -> None:
        """Regress lengths [B] on signatures [B, n], given in batches."""
        size = self.slope.shape[0]
        # Of the rows [s, n], so that the data are read once: their number, sum, and sum of products.
        count, total, products = 0, np.zeros(size + 1), np.zeros((size + 1, size + 1))
        for signatures, lengths in signatures_and_lengths:
            rows = np.column_stack([signatures, lengths])
            count, total, products = count + len(rows), total + rows.sum(axis=0), products + rows.T @ rows
        mean = total / count
        covariance = products / count - np.outer(mean, mean)
        variance = covariance[:size, :size]
        penalty = LENGTH_PENALTY * np.trace(variance) / size
        # If all signatures are equal, they carry no information about lengths.
        slope = (
            scipy.linalg.solve(variance + penalty * np.eye(size), covariance[:size, size], assume_a="pos")
            if penalty > 0
            else np.zeros(size)
        )
        self.slope.assign(slope)
        self.intercept.assign(mean[size] - slope @ mean[:size])

    def call(self, features: Features, mean_step: Tensor, signatures: Tensor) -> Features:
        """The features with histories of equal steps where flag is true.

        Args:
            features: the batch.
            mean_step: [M, d], of the M impressions of new users.
            signatures: [M, n], of the same.
        """
        new = tf.where(features.is_new)[:, 0]
        mask = last_steps_mask(tf.linalg.matvec(signatures, self.slope.value) + self.intercept, self.n_v)
        steps = mean_step[:, None] * tf.cast(mask, mean_step.dtype)[:, :, None]
        return replace_behaviors(features, new, steps, tf.reduce_sum(steps, axis=1), mask)


class MeanStepMethod(SignatureMethod):
    """A two-stage method that predicts a new user's mean step from its signature."""

    generates = True

    def __init__(self, settings: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(settings, **kwargs)
        self.steps = GeneratedSteps()

    def build_for(self, spec: Spec) -> None:
        """Make the variables."""
        super().build_for(spec)
        size = signature_size(spec)
        self.make_weights(size, spec.dim)
        self.steps.build_for(spec.history, size)

    def make_weights(self, signature_size: int, dim: int) -> None:
        """Make the variables that `fit` sets."""
        raise NotImplementedError

    def mean_step(self, signatures: Tensor) -> Tensor:
        """The mean steps [M, d] of users with these signatures [M, (n_a - 1) d]."""
        raise NotImplementedError

    def complete(self, features: Features, training: bool = False) -> Features:
        """The predicted mean step as the history of new users."""
        del training
        signatures = self.signature(features.rows(tf.where(features.is_new)[:, 0]))
        return self.steps(features, self.mean_step(signatures), signatures)

    def fit_lengths(self, training: TrainingData) -> None:
        """Fit the number of steps to the last histories of old users."""

        def lengths(features: Features) -> Matrix:
            return as_float64(tf.math.count_nonzero(features.behavior_mask, axis=1))

        self.steps.fit((as_float64(self.signature(batch)), lengths(batch)) for batch in training.old_users())

    def signature_and_mean_step(self, features: Features) -> tuple[Matrix, Matrix]:
        """The signatures [B, (n_a - 1) d] and mean steps [B, d] of old users, as float64."""
        return as_float64(self.signature(features)), as_float64(mean_behavior(features))


def reference_users(training: TrainingData, most: int) -> Features:
    """The last impression of each old user; of more than `most` old users, that many are drawn by the seed."""
    chosen = np.random.default_rng([training.seed, REFERENCE_USERS]).permutation(training.last_impressions())[:most]
    return training.gather(np.sort(chosen))


def assign_first_rows(weight: Any, rows: Tensor) -> None:
    """Set the first rows of a variable; the others become zero."""
    padded = np.zeros(weight.shape, np.float32)
    padded[: len(rows)] = rows.numpy()
    weight.assign(padded)


def as_float64(tensor: Tensor) -> Matrix:
    """A tensor as a NumPy array."""
    array: Matrix = tensor.numpy().astype(np.float64)
    return array
