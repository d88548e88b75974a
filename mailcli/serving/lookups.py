"""Raw values of a request -> ids in the form of a batch, as a graph without Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.schema import PADDING, UNKNOWN, Field
from mailcli.data.texts import is_text
from mailcli.models.features import Tensor


def take_last_steps(steps: Tensor, actions: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The last `count` steps that have an action, in order, padded at the front.

    Args:
        steps: [U, T, fields], ids.
        actions: [U, T], ids; PADDING where there is no step.
        count: n_v.

    Returns:
        [U, n_v, fields] and [U, n_v].
    """
    steps = tf.pad(steps, [[0, 0], [count, 0], [0, 0]], constant_values=PADDING)
    actions = tf.pad(actions, [[0, 0], [count, 0]], constant_values=PADDING)
    is_step = tf.cast(actions != PADDING, tf.int32)
    # A stable sort: padding first, then the steps in their order.
    order = tf.argsort(is_step, axis=1, stable=True)[:, -count:]
    actions = tf.gather(actions, order, batch_dims=1)
    steps = tf.gather(steps * is_step[:, :, None], order, batch_dims=1)
    return tf.ensure_shape(steps, [None, count, steps.shape[2]]), tf.ensure_shape(actions, [None, count])


def unknown_ids(fields: tuple[Field, ...]) -> NDArray[np.int32]:
    """[columns of the fields], the ids of an item or user about whom nothing is known: an UNKNOWN for each field."""
    return np.array([id_ for field in fields for id_ in (UNKNOWN, *[PADDING] * (field.values - 1))], np.int32)


def pack_values(ids: Tensor, is_empty: Tensor) -> Tensor:
    """[..., values], ascending ids followed by PADDING; a single UNKNOWN if all values are empty."""
    largest = tf.int32.max
    ids = tf.sort(tf.where(is_empty, largest, ids), axis=-1)
    ids = tf.where(ids == largest, PADDING, ids)
    first = tf.where(ids[..., :1] == PADDING, UNKNOWN, ids[..., :1])
    return tf.concat([first, ids[..., 1:]], axis=-1)


def is_repeated(values: Tensor) -> Tensor:
    """[..., values], whether a raw value equals an earlier one of its list: training counts each value once."""
    place = tf.range(tf.shape(values)[-1])
    is_earlier = place[:, None] > place[None, :]
    return tf.reduce_any((values[..., :, None] == values[..., None, :]) & is_earlier, axis=-1)


def hash_table(values: NDArray, numbers: NDArray, default: int) -> Any:
    """A hash table from raw values to numbers."""
    dtype = tf.string if is_text(values) else tf.int64
    keys = tf.constant(values if dtype == tf.string else values.astype(np.int64), dtype)
    initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.constant(numbers, tf.int64))
    return tf.lookup.StaticHashTable(initializer, default)
