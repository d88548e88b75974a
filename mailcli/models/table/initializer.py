"""Some rows of what a Keras initializer draws for a whole table."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models.features import Tensor
from mailcli.models.philox import sample_rows


def initial_rows(initializer: Any, dim: int, start: int, size: int) -> Tensor:
    """Rows start, start + 1, ... of what RandomNormal or RandomUniform draws for a table, [size, d].

    Args:
        initializer: with a seed of its own, a whole number.
        dim: d.
        start: the first row.
        size: number of rows.
    """
    # As keras.src.random.seed_generator.draw_seed makes it of a whole number.
    seed = tf.constant([initializer.seed, 0], tf.uint32)
    if isinstance(initializer, keras.initializers.RandomNormal):
        flat = sample_rows(tf.raw_ops.StatelessRandomNormalV2, seed, dim, start, size, tf.float32)
        flat = flat * initializer.stddev + initializer.mean
    else:
        flat = sample_rows(tf.raw_ops.StatelessRandomUniformV2, seed, dim, start, size, tf.float32)
        flat = flat * (initializer.maxval - initializer.minval) + initializer.minval
    return tf.reshape(flat, [size, dim])
