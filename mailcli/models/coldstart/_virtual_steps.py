"""Virtual behavior for methods that predict one vector per user: the mean step of its history.

Every new user gets as many equal steps as old users have on average, so that rankers that sum a history and rankers
that attend to it both see what they are used to.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models.contracts import ColdStartMethod, TrainingData
from mailcli.models.features import Features, Spec, Tensor, mean_behavior, replace_behaviors

Matrix = NDArray[np.float64]


def signature_size(spec: Spec) -> int:
    """The width of `signature`.

    Raises:
        ValueError: the user id is the only attribute.
    """
    if spec.n_a < 2:
        raise ValueError("needs user attributes other than the id, but the dataset has none")
    return (spec.n_a - 1) * spec.dim


def signature(features: Features, id_index: int) -> Tensor:
    """All attributes but the user id, concatenated, [B, (n_a - 1) d]; an id says nothing about other users."""
    a = features.attributes
    indices = [index for index in range(a.shape[1]) if index != id_index]
    return tf.reshape(tf.gather(a, indices, axis=1), [-1, len(indices) * a.shape[2]])


class VirtualSteps(keras.layers.Layer):
    """Puts a predicted mean step in place of the empty histories of new users. `fit` sets how many times."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def build_for(self, spec: Spec) -> None:
        """Make the average length, 1 before `fit`."""
        self.n_v = spec.history
        self.length = self.add_weight(shape=(), initializer="ones", trainable=False, name="length")
        self.built = True

    def fit(self, training: TrainingData) -> None:
        """Set the length to the mean length of old users' histories, rounded."""
        lengths = [tf.reduce_sum(tf.cast(f.behavior_mask, tf.int64), axis=1).numpy() for f in training.old_users()]
        self.length.assign(float(max(round(float(np.concatenate(lengths).mean())), 1)))

    def call(self, features: Features, mean_step: Tensor) -> Features:
        """The features with the mean step [new users of the batch, d] repeated where flag is true."""
        new = tf.where(features.is_new)[:, 0]
        mask = tf.range(self.n_v, 0, -1) <= tf.cast(self.length, tf.int32)
        steps = mean_step[:, None] * tf.cast(mask, mean_step.dtype)[None, :, None]
        real = tf.broadcast_to(mask[None], tf.shape(steps)[:2])
        total = mean_step * tf.reduce_sum(tf.cast(mask, mean_step.dtype))
        return replace_behaviors(features, new, steps, total, real)


class MeanStepMethod(ColdStartMethod):
    """A two-stage method that predicts a new user's mean step from its signature.

    Args:
        settings: the subclass's options by name.
    """

    two_stage = True

    def __init__(self, settings: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.steps = VirtualSteps()

    def build_for(self, spec: Spec) -> None:
        """Make the variables."""
        self.id_index = spec.id_index
        self.make_weights(signature_size(spec), spec.dim)
        self.steps.build_for(spec)

    def make_weights(self, signature_size: int, dim: int) -> None:
        """Make the variables that `fit` sets."""
        raise NotImplementedError

    def mean_step(self, signatures: Tensor) -> Tensor:
        """The mean steps [M, d] of users with these signatures [M, (n_a - 1) d]."""
        raise NotImplementedError

    def complete(self, features: Features, training: bool = False) -> Features:
        """The predicted mean step as the history of new users."""
        del training
        new = features.rows(tf.where(features.is_new)[:, 0])
        return self.steps(features, self.mean_step(self.signature(new)))

    def signature(self, features: Features) -> Tensor:
        """[B, (n_a - 1) d], see `signature`."""
        return signature(features, self.id_index)

    def signature_and_mean_step(self, features: Features) -> tuple[Matrix, Matrix]:
        """The signatures [B, (n_a - 1) d] and mean steps [B, d] of old users, as float64."""
        return as_float64(self.signature(features)), as_float64(mean_behavior(features))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


def as_float64(tensor: Tensor) -> Matrix:
    """A tensor as a NumPy array."""
    array: Matrix = tensor.numpy().astype(np.float64)
    return array
