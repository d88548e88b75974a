"""Raw values of a request -> ids in the form of a batch, as a graph without Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.schema import PADDING, UNKNOWN, Field
from mailcli.models.features import Tensor


def last_steps(steps: Tensor, actions: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The last `count` steps that have an action, in their order, with padding in front.

    Args:
        steps: [U, T, fields], ids.
        actions: [U, T], ids; PADDING where there is no step.
        count: n_v.

    Returns:
        [U, n_v, fields] and [U, n_v].
    """
    steps = tf.pad(steps, [[0, 0], [count, 0], [0, 0]], constant_values=PADDING)
    actions = tf.pad(actions, [[0, 0], [count, 0]], constant_values=PADDING)
    real = tf.cast(actions != PADDING, tf.int32)
    # Stable: places without a step first, then the steps as they were.
    order = tf.argsort(real, axis=1, stable=True)[:, -count:]
    actions = tf.gather(actions, order, batch_dims=1)
    steps = tf.gather(steps * real[:, :, None], order, batch_dims=1)
    return tf.ensure_shape(steps, [None, count, steps.shape[2]]), tf.ensure_shape(actions, [None, count])


def unknown_ids(fields: tuple[Field, ...]) -> NDArray[np.int32]:
    """[columns of the fields], the ids of an item or user that nothing is known of: one UNKNOWN for each field."""
    parts = [[UNKNOWN, *[PADDING] * (field.values - 1)] for field in fields]
    return np.array([place for part in parts for place in part], np.int32)


def pack_values(ids: Tensor, empty: Tensor) -> Tensor:
    """[..., values], ascending ids at the front and PADDING behind; one UNKNOWN where there is no value."""
    largest = tf.int32.max
    ids = tf.sort(tf.where(empty, largest, ids), axis=-1)
    ids = tf.where(ids == largest, PADDING, ids)
    first = tf.where(ids[..., :1] == PADDING, UNKNOWN, ids[..., :1])
    return tf.concat([first, ids[..., 1:]], axis=-1)


def lookup(values: NDArray, found: NDArray, default: int) -> Any:
    """A hash table from raw values to numbers."""
    dtype = tf.string if values.dtype.kind == "U" else tf.int64
    keys = tf.constant(values if dtype == tf.string else values.astype(np.int64), dtype)
    numbers = tf.constant(found, tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, numbers), default)
