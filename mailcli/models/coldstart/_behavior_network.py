"""A network from attributes to the distribution of behavior, trained on all behaviors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    def with_behavior(self) -> Histories:
        """The users who have done anything."""
        return self.rows(np.flatnonzero(self.counts.sum(axis=1)))


class Popularity(NamedTuple):
    """How often users do what, whatever their attributes."""

    log_probability: NDArray[np.float32]
    """[values], log P(y), one more counted of each (Laplace)."""
    has_behavior: NDArray[np.float32]
    """[values], 1 where anybody has done it, otherwise 0."""

    @classmethod
    def among(cls, users: Histories) -> Popularity:
        """That of some users."""
        behaviors = users.counts.sum(axis=0)
        probability = (behaviors + 1) / (behaviors + 1).sum()
        return cls(np.log(probability).astype(np.float32), (behaviors > 0).astype(np.float32))


class BehaviorNetwork(keras.layers.Layer):
    """Logits of P(· | a): h_0 the sum of a row per value, h_i = LeakyReLU(Dense(...)), then Dense to all values.

    Args:
        sizes: ids of each column of attributes.
        values: how many values a behavior can have.
        units: widths of the hidden layers.
        dropout: dropout rate after each.
        rng: draws the seeds of the weights and of dropout.
    """

    def __init__(
        self, sizes: Sequence[int], values: int, units: Sequence[int], dropout: float, rng: np.random.Generator
    ) -> None:
        super().__init__(dtype="float32")
        self.first_rows = np.cumsum([0, *sizes[:-1]])
        self.rows, self.values = sum(sizes), values
        self.widths = [*units, values]
        self.initializer, *initializers = [keras.initializers.GlorotUniform(_seed(rng)) for _ in self.widths]
        self.dense = [
            keras.layers.Dense(width, kernel_initializer=initializer, dtype="float32")
            for width, initializer in zip(self.widths[1:], initializers, strict=True)
        ]
        self.dropouts = [keras.layers.Dropout(dropout, seed=_seed(rng), dtype="float32") for _ in units]

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        del input_shape
        # As the kernel of a Dense layer on the attributes' values one-hot.
        self.kernel = self.add_weight(shape=(self.rows, self.widths[0]), initializer=self.initializer, name="kernel")
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


def train(
    network: BehaviorNetwork,
    users: Histories,
    epochs: int,
    rng: np.random.Generator,
    held_out: Histories | None = None,
    title: str = "learning from behavior",
) -> int:
    """Train a network to the cross-entropy of all behaviors, from popularity on.

    Args:
        network: with its first weights.
        users: those with behavior among them are learned from.
        epochs: how many, or at most.
        rng: draws the order of users.
        held_out: users by whose behavior the best epoch is chosen; None for the last.
        title: of the progress that is shown.

    Returns:
        The epoch whose weights the network has; at least 1.
    """
    users = users.with_behavior()
    network.start_from(Popularity.among(users).log_probability)
    step = _step_of(network, users.keys.shape[1])
    best = _BestEpoch(network, held_out.with_behavior()) if held_out else None
    with progress(title, epochs * len(users.keys), "users") as advance:
        for epoch in range(1, epochs + 1):
            order = rng.permutation(len(users.keys))
            for start in range(0, len(order), USERS_PER_STEP):
                part = users.rows(order[start : start + USERS_PER_STEP])
                step(part.keys, part.counts.toarray())
                advance(len(part.keys))
            if best and not best.goes_on_after(epoch):
                break
    return best.restore() if best else epochs


def _step_of(network: BehaviorNetwork, columns: int) -> Callable[[NDArray[np.int64], NDArray[np.float32]], None]:
    """A step of training: ids of attributes [B, columns] and how often each user did what [B, values]."""
    # Keras would take every occurrence of a value for a gradient of its own.
    optimizer = DenseAdam(LEARNING_RATE)
    optimizer.build(network.trainable_variables)

    @tf.function(
        input_signature=[tf.TensorSpec([None, columns], tf.int64), tf.TensorSpec([None, network.values], tf.float32)]
    )
    def step(keys: Tensor, counts: Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = -_log_likelihood(network(keys, training=True), counts) / tf.reduce_sum(counts)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    return step


class _BestEpoch:
    """The epoch of a network that tells most of held-out users, and its weights."""

    def __init__(self, network: BehaviorNetwork, held_out: Histories) -> None:
        self._network, self._held_out = network, held_out
        self._likelihood, self._epoch, self._weights = -np.inf, 1, network.get_weights()

    def goes_on_after(self, epoch: int) -> bool:
        """Score an epoch; whether training should go on."""
        likelihood = _total_log_likelihood(self._network, self._held_out)
        if likelihood > self._likelihood:
            self._likelihood, self._epoch, self._weights = likelihood, epoch, self._network.get_weights()
        return epoch - self._epoch < PATIENCE

    def restore(self) -> int:
        """Set the network's weights to those of the best epoch, and return it."""
        self._network.set_weights(self._weights)
        return self._epoch


def _seed(rng: np.random.Generator) -> int:
    """A seed for Keras."""
    return int(rng.integers(2**31))


def _log_likelihood(logits: Tensor, counts: Tensor) -> Tensor:
    """Σ counts · log P."""
    return tf.reduce_sum(counts * tf.nn.log_softmax(logits))


def _total_log_likelihood(network: BehaviorNetwork, users: Histories) -> float:
    return sum(
        float((users.counts[start : start + len(log_probability)].multiply(log_probability.numpy())).sum())
        for start, log_probability in network.log_probabilities(users.keys)
    )
