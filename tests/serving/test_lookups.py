"""Raw values to ids: histories, lists, and rows of the dataset."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.serving.dataset_lookup import history_ends
from mailcli.serving.lookups import pack_values, take_last_steps


def test_the_last_steps_with_an_action_are_kept() -> None:
    steps = tf.constant([[[1, 11], [2, 12], [3, 13], [4, 14]], [[5, 15], [6, 16], [7, 17], [8, 18]]])
    actions = tf.constant([[2, 0, 3, 4], [0, 0, 5, 0]])
    last, their_actions = take_last_steps(steps, actions, 2)
    assert last.numpy().tolist() == [[[3, 13], [4, 14]], [[0, 0], [7, 17]]]
    assert their_actions.numpy().tolist() == [[3, 4], [0, 5]]
    last, their_actions = take_last_steps(steps[:, :0], actions[:, :0], 2)
    assert last.numpy().tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert their_actions.numpy().tolist() == [[0, 0], [0, 0]]


def test_values_of_a_list_are_put_in_order_and_an_empty_list_is_one_unknown() -> None:
    ids = tf.constant([[[9, 1, 4], [1, 1, 1], [1, 7, 1]]])
    is_empty = tf.constant([[[False, True, False], [True, True, True], [False, False, False]]])
    assert pack_values(ids, is_empty).numpy().tolist() == [[[4, 9, 0], [1, 0, 0], [1, 1, 7]]]


def test_the_end_of_what_is_earlier() -> None:
    time = np.array([5, 7, 7, 9, 1, 2])
    # The behaviors of three users: 0-3, none, 4-5.
    begin, end = np.array([0, 0, 0, 0, 4, 4, 4]), np.array([4, 4, 4, 4, 4, 6, 6])
    impression_time = np.array([5, 7, 8, 10, 3, 2, 0])
    assert history_ends(time, begin, end, impression_time).tolist() == [0, 1, 3, 4, 4, 5, 4]
    assert history_ends(time[:0], begin[:1] * 0, end[:1] * 0, impression_time[:1]).tolist() == [0]
