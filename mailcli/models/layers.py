"""Shared layers: attention pooling, the residual encoder and decoder, dropout, batch normalization."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Tensor

#: Slope of LeakyReLU for negative inputs (ours: TensorFlow's default; the paper does not say).
NEGATIVE_SLOPE = 0.2
#: Score of a masked position before a softmax: exp(x - max) is exactly 0 in float32.
MASKED_SCORE = -1e9


class Dropout(keras.layers.Dropout):
    """keras.layers.Dropout; on several replicas, each applies its rows of the whole batch's mask."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """x [current rows, n] -> the same shape."""
        if not (training and self.rate > 0 and distribute.is_distributed()):
            return super().call(inputs, training=training)
        keep = distribute.uniform(inputs, self.seed_generator) >= tf.cast(self.rate, inputs.dtype)
        return tf.where(keep, inputs * tf.cast(1 / (1 - self.rate), inputs.dtype), tf.zeros_like(inputs))


class BatchNormalization(keras.layers.BatchNormalization):
    """keras.layers.BatchNormalization; on several replicas, with the mean and variance of the whole batch.

    Keras' own `synchronized=True` computes E[x²] - E[x]², which loses digits that a single replica keeps.
    """

    def _moments(self, inputs: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if mask is not None or not distribute.is_distributed():
            return super()._moments(inputs, mask)
        count = tf.cast(distribute.global_row_count(inputs), inputs.dtype)
        mean = distribute.all_reduce_sum(tf.reduce_sum(inputs, axis=0)) / count
        # As in tf.nn.moments: the derivative with respect to the mean is zero.
        squares = tf.math.squared_difference(inputs, tf.stop_gradient(mean))
        return mean, distribute.all_reduce_sum(tf.reduce_sum(squares, axis=0)) / count


class AttentionPooling(keras.layers.Layer):
    """h = Σ α_i x_i with α = softmax(e), e_i = zᵀ tanh(w x_i + b): MAIL Eqs. (1)-(2).

    Args:
        units: d_r, the width of the attention.

    Call: x [B, n, d], mask [B, n] bool or None -> [B, d]; zeros where every position is masked.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(units, activation="tanh")
        self.score = keras.layers.Dense(1, use_bias=False)

    def build(self, shape: Sequence[int | None], *_: Any) -> None:
        """Make w, b and z."""
        self.hidden.build(shape)
        self.score.build((*shape[:-1], self.hidden.units))
        self.built = True

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool over the second axis."""
        e = self.score(self.hidden(x))[:, :, 0]
        if mask is None:
            return weighted_sum(tf.nn.softmax(e), x)
        alpha = tf.nn.softmax(tf.where(mask, e, MASKED_SCORE)) * tf.cast(mask, e.dtype)
        return weighted_sum(alpha, x)


class ResidualEncoder(keras.layers.Layer):
    """MAIL Eq. (15): h -> p; every layer sees the input h.

    z1 = LeakyReLU(Dense(Dropout(h))); z2 = LeakyReLU(Dense(Dropout([z1, h]))); p = LeakyReLU(Dense([z2, h])).

    Args:
        units: widths of z1, z2 and p.
        dropout: rate of the two dropouts.
    """

    def __init__(self, units: Sequence[int], dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = [keras.layers.Dense(width) for width in units]
        self.dropout = [Dropout(dropout) for _ in units[:-1]]

    def build(self, shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of this shape."""
        _build_residual(self.dense, shape[-1])
        self.built = True

    def call(self, h: Tensor, training: bool = False) -> Tensor:
        """h [B, d] -> p [B, units[-1]]."""
        z1 = leaky_relu(self.dense[0](self.dropout[0](h, training=training)))
        z2 = leaky_relu(self.dense[1](self.dropout[1](tf.concat([z1, h], axis=1), training=training)))
        return leaky_relu(self.dense[2](tf.concat([z2, h], axis=1)))


class ResidualDecoder(keras.layers.Layer):
    """MAIL Eq. (16): p -> a flattened sequence of embeddings; the last layer is linear.

    z3 = LeakyReLU(Dense(Dropout(p))); z4 = LeakyReLU(Dense(Dropout([z3, p]))); out = Dense([z4, p]).

    Args:
        units: widths of z3 and z4.
        outputs: n · d, the length of the reconstruction.
        dropout: rate of the two dropouts.
    """

    def __init__(self, units: Sequence[int], outputs: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = [keras.layers.Dense(width) for width in (*units, outputs)]
        self.dropout = [Dropout(dropout) for _ in units]

    def build(self, shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of this shape."""
        _build_residual(self.dense, shape[-1])
        self.built = True

    def call(self, p: Tensor, training: bool = False) -> Tensor:
        """p [B, d_h] -> [B, outputs]."""
        return self.last(self.hidden(p, training=training))

    @property
    def last(self) -> Any:
        """The linear layer."""
        return self.dense[2]

    def hidden(self, p: Tensor, training: bool = False) -> Tensor:
        """p [B, d_h] -> [z4, p], the input of the linear layer."""
        z3 = leaky_relu(self.dense[0](self.dropout[0](p, training=training)))
        z4 = leaky_relu(self.dense[1](self.dropout[1](tf.concat([z3, p], axis=1), training=training)))
        return tf.concat([z4, p], axis=1)


def _build_residual(layers: Sequence[Any], width: int | None) -> None:
    assert width is not None
    layers[0].build((None, width))
    for previous, layer in pairwise(layers):
        layer.build((None, previous.units + width))


def leaky_relu(x: Tensor) -> Tensor:
    """max(x, NEGATIVE_SLOPE · x)."""
    return tf.nn.leaky_relu(x, alpha=NEGATIVE_SLOPE)


def weighted_sum(weights: Tensor, x: Tensor) -> Tensor:
    """Σ_i w_i x_i, [B, d], of weights [B, n] and x [B, n, d]; far faster than tf.einsum in the gradient on a CPU."""
    return tf.reduce_sum(weights[:, :, None] * x, axis=1)
