"""Raw values to ids: histories, lists, and rows of the dataset."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import tensorflow as tf

from mailcli.data.dataset import Dataset
from mailcli.data.derivations import Derivation
from mailcli.serving.dataset_lookup import history_ends
from mailcli.serving.description import _numbers_in_buckets
from mailcli.serving.lookups import is_repeated, pack_values, take_last_steps
from mailcli.serving.raw_inputs import column_values, is_missing
from mailcli.serving.signatures import Input
from mailcli.serving.time_limits import time_limits


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


def test_a_value_counts_once_in_its_list() -> None:
    values = tf.constant([[["chess", "", "chess", "go", "chess"]], [["a", "b", "c", "", ""]]])
    assert is_repeated(values).numpy().tolist() == [
        [[False, False, True, False, True]],
        [[False, False, False, False, True]],
    ]
    assert is_repeated(tf.constant([[7, 7], [7, 8]], tf.int64)).numpy().tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(("name", "dtype"), [("int64", tf.int64), ("float64", tf.float64), ("string", tf.string)])
def test_what_the_schema_file_calls_missing_is_missing(name: str, dtype: tf.DType) -> None:
    derivation = Derivation(missing=("99999999", "-99.9", "NULL", "1e30"))
    input_ = Input("x", tf.TensorSpec([None], dtype), "x", "x", "", derivation)
    # None of these numbers is one of float32.
    values = {
        "int64": [99999999, 100000000, -99],
        "float64": [99999999, -99.9, -99.90000153],
        "string": ["-99.9", "NULL", "1"],
    }[name]
    expected = {"int64": [True, False, False], "float64": [True, True, False], "string": [True, True, False]}[name]
    assert is_missing(input_, tf.constant(values, dtype)).numpy().tolist() == expected


def test_a_number_that_means_missing_is_in_no_bucket() -> None:
    derivation = Derivation(edges=(1.0, 3.0), missing=("-1",))
    input_ = Input("depth", tf.TensorSpec([None], tf.float64), "depth", "depth", "", derivation)
    numbers = tf.constant([-1.0, 0.0, 1.0, 5.0, float("nan")], tf.float64)
    missing = -(2**63)
    assert column_values(input_, {"depth": numbers}).numpy().tolist() == [missing, 0, 1, 2, missing]


def test_the_example_of_a_bucket_is_no_number_that_means_missing() -> None:
    assert _numbers_in_buckets(Derivation(edges=(0.0, 1.0, 5.0), missing=("-1", "1"))) == [-2, 0, 3, 5]
    assert _numbers_in_buckets(Derivation(edges=(0.0, 1.0), missing=("NULL", "1", "-2"))) == [-1, 0, 1.5]


def test_the_steps_of_a_list_have_no_times() -> None:
    """Preprocessing numbers them -3, -2, -1: the limits are those of the impressions alone."""

    def limits(behaviors: list[int]) -> tuple[int, int]:
        columns = {
            ("behaviors", "time"): np.array(behaviors),
            ("test", "time"): np.array([1_500_000_000, 1_600_000_000]),
        }
        found = time_limits(cast(Dataset, SimpleNamespace(column=lambda *name: columns[name])))
        assert found is not None
        return found.first, found.earliest

    assert limits([-3, -2, -1]) == (1_500_000_000, 50_000_000)
    assert limits([1_400_000_010]) == (1_400_000_010, 46_666_667)


def test_the_end_of_what_is_earlier() -> None:
    time = np.array([5, 7, 7, 9, 1, 2])
    # The behaviors of three users: 0-3, none, 4-5.
    begin, end = np.array([0, 0, 0, 0, 4, 4, 4]), np.array([4, 4, 4, 4, 4, 6, 6])
    impression_time = np.array([5, 7, 8, 10, 3, 2, 0])
    assert history_ends(time, begin, end, impression_time).tolist() == [0, 1, 3, 4, 4, 5, 4]
    assert history_ends(time[:0], begin[:1] * 0, end[:1] * 0, impression_time[:1]).tolist() == [0]
