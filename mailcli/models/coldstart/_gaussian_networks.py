"""Small networks for methods with a latent Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.models.features import Tensor
from mailcli.models.layers import leaky_relu

#: Bound of |log σ²| (ours): beyond it, exp() leaves the useful range of float32.
MAX_LOG_VARIANCE = 8.0


def network(width: int, units: Sequence[int], **options: Any) -> list[Any]:
    """Dense layers of these widths, built for inputs [B, width].

    Args:
        width: of the inputs.
        units: widths of the layers.
        options: of keras.layers.Dense.
    """
    layers = [keras.layers.Dense(outputs, **options) for outputs in units]
    for layer, inputs in zip(layers, (width, *units), strict=False):
        layer.build((None, inputs))
    return layers


def forward(layers: Sequence[Any], x: Tensor) -> Tensor:
    """The output of a `network` [B, units[-1]]: LeakyReLU between the layers, linear at the end."""
    *hidden, last = layers
    for layer in hidden:
        x = leaky_relu(layer(x))
    return last(x)


def gaussian(layers: Sequence[Any], x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and log σ² of a diagonal Gaussian, both halves of the outputs, in float32."""
    mean, log_variance = tf.split(tf.cast(forward(layers, x), tf.float32), 2, axis=1)
    return mean, tf.clip_by_value(log_variance, -MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)
