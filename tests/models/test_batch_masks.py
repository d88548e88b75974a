"""Ids and behaviors of a batch are hidden as the protocols hide those of new users."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.data.schema import Field
from mailcli.models.batch_masks import hide_users, history_lengths, keep_oldest_behaviors
from tests.helpers.features import spec


def small_batch() -> dict[str, Any]:
    """Three users: with two behaviors, four, and none; a behavior has a category and a brand."""
    actions = np.array([[0, 0, 2, 3], [2, 3, 4, 5], [0, 0, 0, 0]], np.int32)
    steps = np.stack([10 * actions, 100 * actions], axis=2)
    return {
        "attributes": tf.constant([[7, 21, 31], [8, 22, 32], [9, 23, 33]], tf.int32),
        "behaviors": tf.constant(steps),
        "actions": tf.constant(actions),
        "click": tf.constant([1.0, 0.0, 1.0]),
    }


def test_a_hidden_user_has_the_unknown_id_and_no_behavior() -> None:
    batch = small_batch()
    masked = hide_users(batch, tf.constant([False, True, True]), id_column=1)
    assert masked["attributes"].numpy().tolist() == [[7, 21, 31], [8, 1, 32], [9, 1, 33]]
    assert masked["actions"].numpy().tolist() == [[0, 0, 2, 3], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert masked["behaviors"].numpy()[:, :, 0].tolist() == [[0, 0, 20, 30], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert masked["behaviors"].numpy()[:, :, 1].tolist() == [[0, 0, 200, 300], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert masked["click"] is batch["click"]


def test_the_oldest_behaviors_move_to_the_end() -> None:
    masked = keep_oldest_behaviors(small_batch(), tf.constant([1, 3, 2]))
    assert masked["actions"].numpy().tolist() == [[0, 0, 0, 2], [0, 2, 3, 4], [0, 0, 0, 0]]
    assert masked["behaviors"].numpy()[:, :, 0].tolist() == [[0, 0, 0, 20], [0, 20, 30, 40], [0, 0, 0, 0]]
    assert masked["behaviors"].numpy()[:, :, 1].tolist() == [[0, 0, 0, 200], [0, 200, 300, 400], [0, 0, 0, 0]]
    assert masked["attributes"].numpy().tolist() == [[7, 21, 31], [8, 22, 32], [9, 23, 33]]


def test_no_behavior_and_more_than_there_are() -> None:
    masked = keep_oldest_behaviors(small_batch(), tf.constant([5, 0, 0]))
    assert masked["actions"].numpy().tolist() == [[0, 0, 2, 3], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_lengths() -> None:
    assert history_lengths(small_batch()).numpy().tolist() == [2, 4, 0]


def test_the_id_column_counts_the_values_of_fields_before_it() -> None:
    plain = spec()
    assert plain.id_column == 0
    fields = (Field("tags", "attributes", "tags", values=3), Field("sex", "attributes", "sex"), *plain.schema.fields)
    later = plain._replace(schema=type(plain.schema)(fields, ("pv",)))
    assert (later.id_index, later.id_column) == (2, 4)


def test_a_hidden_row_is_what_protocol_strict_makes_of_an_impression_that_is_treated_as_new(tiny: Dataset) -> None:
    config = make_config([{"data": "tiny", "history": 10, "protocol": "strict"}])
    view = views(tiny, config)["train"]
    everyone, nobody = np.ones_like(view.treated_as_new), np.zeros_like(view.treated_as_new)
    rows = view.rows[:50]
    as_new, as_old = (
        Batches(tiny, view._replace(treated_as_new=treated_as_new, without_id=nobody), 10, 50).gather(rows)
        for treated_as_new in (everyone, nobody)
    )
    assert as_old["actions"].any()
    ids = [field.vocabulary for field in tiny.schema.group("attributes")].index(tiny.schema.user)
    masked = hide_users({name: tf.constant(array) for name, array in as_old.items()}, tf.ones(50, tf.bool), ids)
    for name, array in as_new.items():
        np.testing.assert_array_equal(masked[name].numpy(), array, err_msg=name)
