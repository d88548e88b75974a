"""A network from attributes to the distribution of behavior, trained on all behaviors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from mailcli.models.features import Tensor
from mailcli.models.layers import leaky_relu
from mailcli.models.optimizers import DenseAdam
from mailcli.utils.progress import progress

#: Users per step, and distinct attributes that are scored at once (ours).
USERS_PER_STEP = 256
#: Adam's learning rate, its own default.
LEARNING_RATE = 0.001
#: Epochs without a better log-likelihood of held-out users after which a network stops (ours).
PATIENCE = 2


class Histories(NamedTuple):
    """What users have done."""

    keys: NDArray[np.int64]
    """[users, columns], ids of their attributes; 0 where one of several values is missing."""
    counts: sparse.csr_array
    """[users, values], how often each did what."""

    def rows(self, which: NDArray[Any]) -> Histories:
        """Some users, by a mask or by indices."""
        return Histories(self.keys[which], self.counts[which])


class BehaviorNetwork(keras.layers.Layer):
    """Logits of P(· | a): h_0 the sum of a row per value, h_i = LeakyReLU(Dense(...)), then Dense to all values.

    Args:
        sizes: ids of each column of attributes.
        values: how many values a behavior can have.
        units: widths of the hidden layers.
        dropout: dropout rate after each.
        seed: of the weights and of dropout.
    """

    def __init__(self, sizes: Sequence[int], values: int, units: Sequence[int], dropout: float, seed: int) -> None:
        super().__init__(dtype="float32")
        self.first_rows = np.cumsum([0, *sizes[:-1]])
        self.rows, self.values, self.seed = sum(sizes), values, seed
        self.widths = [*units, values]
        self.dense = [
            keras.layers.Dense(
                width, kernel_initializer=keras.initializers.GlorotUniform(seed + number), dtype="float32"
            )
            for number, width in enumerate(self.widths[1:], start=1)
        ]
        self.dropouts = [
            keras.layers.Dropout(dropout, seed=seed + number, dtype="float32") for number in range(len(units))
        ]

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        del input_shape
        # As the kernel of a Dense layer on the attributes' values one-hot.
        self.kernel = self.add_weight(
            shape=(self.rows, self.widths[0]), initializer=keras.initializers.GlorotUniform(self.seed), name="kernel"
        )
        self.bias = self.add_weight(shape=(self.widths[0],), initializer="zeros", name="bias")
        for layer, width in zip(self.dense, self.widths, strict=False):
            layer.build((None, width))
        self.built = True

    def call(self, keys: Tensor, training: bool = False) -> Tensor:
        """Logits [B, values] of ids of attributes [B, columns]."""
        keys = tf.cast(keys, tf.int64)
        rows = tf.gather(self.kernel.value, keys + self.first_rows)
        logits = tf.reduce_sum(rows * tf.cast(keys > 0, tf.float32)[:, :, None], axis=1) + self.bias.value
        for dropout, dense in zip(self.dropouts, self.dense, strict=True):
            logits = dense(dropout(leaky_relu(logits), training=training))
        return logits

    def start_from(self, log_probability: NDArray[np.float32]) -> None:
        """Set the last layer's bias."""
        (self.dense[-1].bias if self.dense else self.bias).assign(log_probability)

    def log_probabilities(self, keys: NDArray[np.int64]) -> Iterator[tuple[int, Tensor]]:
        """The first row and log P(· | a) [rows, values] of some users at a time."""
        for start in range(0, len(keys), USERS_PER_STEP):
            yield start, tf.nn.log_softmax(self(keys[start : start + USERS_PER_STEP]))


def log_popularity(behaviors: NDArray[Any]) -> NDArray[np.float32]:
    """log P(y) [values] by the number of behaviors of each, and one more (Laplace)."""
    return np.log((behaviors + 1) / (behaviors + 1).sum()).astype(np.float32)


def train(
    network: BehaviorNetwork,
    users: Histories,
    epochs: int,
    seed: int,
    held_out: Histories | None = None,
    title: str = "learning from behavior",
) -> int:
    """Train a network to the cross-entropy of all behaviors, from popularity on.

    Args:
        network: with its first weights.
        users: those with behavior among them are learned from.
        epochs: how many, or at most.
        seed: of the order of users.
        held_out: users by whose behavior the best epoch is chosen; None for the last.
        title: of the progress that is shown.

    Returns:
        The epoch whose weights the network has; at least 1.
    """
    users = _with_behavior(users)
    held_out = _with_behavior(held_out) if held_out else None
    network.start_from(log_popularity(users.counts.sum(axis=0)))
    # Keras would take every occurrence of a value for a gradient of its own.
    optimizer = DenseAdam(LEARNING_RATE)
    optimizer.build(network.trainable_variables)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, users.keys.shape[1]], tf.int64),
            tf.TensorSpec([None, network.values], tf.float32),
        ]
    )
    def step(keys: Tensor, counts: Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = -_log_likelihood(network(keys, training=True), counts) / tf.reduce_sum(counts)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    rng = np.random.default_rng(seed)
    best, best_epoch, weights = -np.inf, 1, network.get_weights()
    with progress(title, epochs * len(users.keys), "users") as advance:
        for epoch in range(1, epochs + 1):
            order = rng.permutation(len(users.keys))
            for start in range(0, len(order), USERS_PER_STEP):
                part = users.rows(order[start : start + USERS_PER_STEP])
                step(part.keys, part.counts.toarray().astype(np.float32))
                advance(len(part.keys))
            if held_out is None:
                best_epoch = epoch
                continue
            likelihood = _total_log_likelihood(network, held_out)
            if likelihood > best:
                best, best_epoch, weights = likelihood, epoch, network.get_weights()
            elif epoch - best_epoch >= PATIENCE:
                break
    if held_out is not None:
        network.set_weights(weights)
    return best_epoch


def _with_behavior(users: Histories) -> Histories:
    return users.rows(np.flatnonzero(users.counts.sum(axis=1)))


def _log_likelihood(logits: Tensor, counts: Tensor) -> Tensor:
    """Σ counts · log P."""
    return tf.reduce_sum(counts * tf.nn.log_softmax(logits))


def _total_log_likelihood(network: BehaviorNetwork, users: Histories) -> float:
    return sum(
        float((users.counts[start : start + len(log_probability)].multiply(log_probability.numpy())).sum())
        for start, log_probability in network.log_probabilities(users.keys)
    )
