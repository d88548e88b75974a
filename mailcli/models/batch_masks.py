"""Hides ids and behaviors in a batch of ids, before it is embedded: everything computed from it then agrees."""

from __future__ import annotations

import tensorflow as tf

from mailcli.data.schema import PADDING, UNKNOWN
from mailcli.models.features import Tensor


def hide_users(batch: dict[str, Tensor], hidden: Tensor, id_column: int) -> dict[str, Tensor]:
    """Where `hidden` [B] is true, make the user id unknown and the history empty, as a new user's are.

    Args:
        id_column: the column of the user id among the attributes.
    """
    attributes = batch["attributes"]
    hidden_id = hidden[:, None] & (tf.range(attributes.shape[1]) == id_column)
    visible = ~hidden[:, None] & tf.ones_like(batch["actions"], tf.bool)
    return _only(batch, visible) | {"attributes": tf.where(hidden_id, UNKNOWN, attributes)}


def keep_oldest_behaviors(batch: dict[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
    """Keep the oldest `kept` [B] behaviors of each history, which move to its end; shorter histories stay whole.

    So the history of a user with at most n_v behaviors is what it was when there were that many.
    """
    actions = batch["actions"]
    length = history_lengths(batch)
    kept = tf.minimum(kept, length)
    place = tf.range(tf.shape(actions)[1])[None]
    # Padding is in front: what is dropped at the end makes room for more of it.
    source = tf.maximum(place - (length - kept)[:, None], 0)
    moved = {name: tf.gather(batch[name], source, batch_dims=1) for name in ("behaviors", "actions")}
    return _only(batch | moved, place >= tf.shape(actions)[1] - kept[:, None])


def history_lengths(batch: dict[str, Tensor]) -> Tensor:
    """[B] int32, how many behaviors each history has."""
    return tf.math.count_nonzero(batch["actions"] != PADDING, axis=1, dtype=tf.int32)


def _only(batch: dict[str, Tensor], visible: Tensor) -> dict[str, Tensor]:
    """The batch with padding wherever `visible` [B, n_v] is false."""
    return batch | {
        "behaviors": tf.where(visible[:, :, None], batch["behaviors"], PADDING),
        "actions": tf.where(visible, batch["actions"], PADDING),
    }
