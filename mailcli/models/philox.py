"""Some rows of what Keras' random generators draw for a whole array: Philox has a counter, so any row can be first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mailcli.models.features import Tensor

#: Numbers per block of Philox, the random generator behind TensorFlow's float32 and bfloat16 samplers.
_BLOCK = 4
#: Philox in tf.random.Algorithm.
_PHILOX = 1


def sample_rows(sampler: Callable[..., Tensor], seed: Tensor, width: Any, start: Any, size: Any, dtype: Any) -> Tensor:
    """Rows start, start + 1, ... of a sample of an array with rows of `width` numbers, [size · width].

    Args:
        sampler: tf.raw_ops.StatelessRandomUniformV2 or StatelessRandomNormalV2.
        seed: [2], as Keras' SeedGenerator returns it.
        width: numbers per row.
        start: the first row.
        size: number of rows.
        dtype: of the sample.
    """
    # As in keras.src.backend.tensorflow.random.
    seed = tf.cast(tf.math.floormod(seed, np.iinfo(np.int32).max - 1), tf.int32)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    first, count = (tf.cast(x, tf.int64) * tf.cast(width, tf.int64) for x in (start, size))
    skipped = first % _BLOCK
    block = _advance(counter, first // _BLOCK)
    return sampler(shape=[skipped + count], key=key, counter=block, alg=_PHILOX, dtype=dtype)[skipped:]


def _advance(counter: Tensor, blocks: Tensor) -> Tensor:
    """The 128-bit counter [2], its lower half first, moved on by a number of blocks."""
    low = counter[0] + tf.cast(blocks, tf.uint64)
    carry = tf.cast(tf.cast(low < counter[0], tf.int32), tf.uint64)
    return tf.stack([low, counter[1] + carry])
