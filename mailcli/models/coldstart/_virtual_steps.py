"""Virtual behavior for methods that predict one vector per user: the mean step of its history.

Every user gets as many equal steps as old users have on average, so that a ranker that sums and one that attends both
see what they are used to.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mailcli.models.contracts import TrainingData
from mailcli.models.features import Features, Spec, Tensor, replace_behaviors


def signature_size(spec: Spec) -> int:
    """The length of what `signature` gives.

    Raises:
        ValueError: there is no attribute but the user's id.
    """
    if spec.n_a < 2:
        raise ValueError("needs user attributes besides the id, and the dataset has none")
    return (spec.n_a - 1) * spec.dim


def signature(features: Features, id_place: int) -> Tensor:
    """The attributes but the user's id side by side, [B, (n_a - 1) d]: an id says nothing of other users."""
    a = features.attributes
    others = [place for place in range(a.shape[1]) if place != id_place]
    return tf.reshape(tf.gather(a, others, axis=1), [-1, len(others) * a.shape[2]])


class VirtualSteps(keras.layers.Layer):
    """Puts a predicted mean step in place of new users' empty histories. `fit` counts the steps of old users."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def build_for(self, spec: Spec) -> None:
        """Make the average length, one step before `fit`."""
        self.n_v = spec.history
        self.length = self.add_weight(shape=(), initializer="ones", trainable=False, name="length")
        self.built = True

    def fit(self, training: TrainingData) -> None:
        """Set the length to the mean of old users' histories, rounded."""
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
