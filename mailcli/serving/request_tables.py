"""The tables inside an exported model: the ids of all vocabularies, the items, and on request the users.

They are attributes of a tf.Module, so that a SavedModel keeps them.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.batches import Batches, target_ids
from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, PADDING, UNKNOWN
from mailcli.errors import MailError
from mailcli.serving.lookups import hash_table, unknown_ids

#: Bytes of tables that saved_model.pb can hold: Protocol Buffers end at 2 GiB.
LARGEST_GRAPH = 2_000_000_000


def add_vocabularies(module: tf.Module, dataset: Dataset, hidden: NDArray[np.bool_]) -> None:
    """Add `ids`, the ids of all vocabularies, and `actions`; the `hidden` ones of users count as unknown."""
    tables = {}
    for name in dataset.schema.vocabularies():
        values = dataset.column("vocabularies", name)
        ids = np.arange(FIRST_ID, FIRST_ID + len(values))
        if name == dataset.schema.user:
            ids = np.where(hidden, UNKNOWN, ids)
        tables[name] = hash_table(values, ids, UNKNOWN)
    actions = np.array(dataset.schema.actions)
    module.actions = hash_table(actions, np.arange(FIRST_ID, FIRST_ID + len(actions)), PADDING)
    module.ids = tables


def add_items(module: tf.Module, dataset: Dataset) -> None:
    """Add the item table; the row after the last item is that of an unknown item."""
    raw = dataset.column("items", "raw")
    rows = np.arange(len(raw))
    module.item_rows = hash_table(raw, rows, len(raw))
    ids = np.concatenate([target_ids(dataset, rows), unknown_ids(dataset.schema.group("target"))[None]])
    module.item_ids = tf.Variable(ids, trainable=False, name="item_ids")
    columns = [np.append(dataset.column("items", name), np.float32(0)) for name in dataset.schema.dense]
    dense = np.stack(columns, axis=-1) if columns else np.empty((len(raw) + 1, 0), np.float32)
    module.item_dense = tf.Variable(dense, trainable=False, name="item_dense")


def add_users(module: tf.Module, dataset: Dataset, batches: Batches) -> None:
    """Add the user table; the row after the last user is that of an unknown user."""
    raw = dataset.column("users", "raw")
    ids = batches.attributes(np.arange(len(raw)))
    module.user_rows = hash_table(raw, np.arange(len(raw)), len(raw))
    unknown = unknown_ids(dataset.schema.group("attributes"))[None]
    module.user_ids = tf.Variable(np.concatenate([ids, unknown]), trainable=False, name="user_ids")


def _size(values: NDArray) -> int:
    return sum(len(text.encode()) for text in values) if values.dtype == object else values.nbytes


def check_size(dataset: Dataset, with_users: bool) -> None:
    """Refuse tables that a SavedModel cannot hold (MailError)."""
    columns = [dataset.column("vocabularies", name) for name in dataset.schema.vocabularies()]
    columns += [dataset.column("items", "raw"), *([dataset.column("users", "raw")] if with_users else [])]
    # Each value is stored with a number of eight bytes.
    size = sum(_size(values) + 8 * len(values) for values in columns)
    if size > LARGEST_GRAPH:
        raise MailError(
            f"{dataset.folder}: its vocabularies and items take {size / 1e9:.1f} GB. A SavedModel holds at most "
            f"{LARGEST_GRAPH / 1e9:.0f} GB of them."
        )
