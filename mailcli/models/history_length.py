"""How many steps a generated history has: predicted from attributes, as in the published code of MAIL."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Tensor
from mailcli.models.losses import squared_error


class HistoryLength(keras.layers.Layer):
    """The number of steps in a user's history, n̂ = n_v σ(w x + b), from a code x of their attributes.

    Gradients to the code are stopped: the length is read off what a method has learned, and changes none of it.

    Args:
        n_v: the longest history.

    Call: x [B, n] -> [B, n_v] bool, the last n̂ steps of each row, rounded; at least one.
    """

    def __init__(self, n_v: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.n_v = n_v
        self.share = keras.layers.Dense(1, activation="sigmoid", dtype="float32")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make w and b."""
        self.share.build(shape)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """The steps that count as behavior."""
        return last_steps_mask(self.n_v * self._predicted_share(x)[:, 0], self.n_v)

    def loss(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mean of (n̂ - n)² / n_v² over old users whose real steps are `mask` [B, n_v]."""
        share = tf.reduce_mean(tf.cast(mask, tf.float32), axis=1, keepdims=True)
        return squared_error(self._predicted_share(x), share, "mean")

    def _predicted_share(self, x: Tensor) -> Tensor:
        return self.share(tf.cast(tf.stop_gradient(x), tf.float32))


class MeanLength(keras.layers.Layer):
    """The mean number of steps in the histories seen so far, for a method that never learns from histories.

    Args:
        n_v: the longest history.
    """

    def __init__(self, n_v: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.n_v = n_v
        self.counts = self.add_weight(
            shape=(2,), initializer="zeros", dtype="int64", trainable=False, autocast=False, name="counts"
        )
        self.built = True

    def observe(self, mask: Tensor) -> None:
        """Count the real steps in `mask` [B, n_v]; empty histories are left out."""
        steps = tf.math.count_nonzero(mask, axis=1)
        self.counts.assign_add(
            distribute.all_reduce_sum(tf.stack([tf.reduce_sum(steps), tf.math.count_nonzero(steps)]))
        )

    def step_mask(self) -> Tensor:
        """[n_v] bool, the last n steps, n the rounded mean; all steps until a history has been observed."""
        steps, histories = tf.unstack(tf.cast(self.counts, tf.float32))
        mean = tf.where(histories > 0, tf.math.divide_no_nan(steps, histories), float(self.n_v))
        return last_steps_mask(mean[None], self.n_v)[0]


def last_steps_mask(lengths: Tensor, n_v: int) -> Tensor:
    """[B, n_v] bool, true for the last steps of each history; lengths [B] are rounded, and 1 to n_v.

    Example:
        >>> last_steps_mask(tf.constant([1.6]), 3).numpy().tolist()
        [[False, True, True]]
    """
    rounded = tf.clip_by_value(tf.round(lengths), 1, n_v)
    return tf.cast(tf.range(n_v, 0, -1), tf.float32)[None] <= rounded[:, None]
