"""Requests whose inputs do not match each other are refused by name, and the server keeps running."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mailcli.serving.shape_checks import check_shapes
from mailcli.serving.signatures import Input
from tests.helpers.serving import (
    assertion_text,
)
from tests.helpers.serving_requests import MISFITS


def test_an_input_of_another_shape_is_told_by_name() -> None:
    shapes: dict[str, list[int | None]] = {"user": [None], "history_kind": [None, None], "item_genres": [None, None, 6]}
    inputs = tuple(Input(name, tf.TensorSpec(shape, tf.int64, name), name, None, "") for name, shape in shapes.items())
    good = {"user": [2], "history_kind": [2, 3], "item_genres": [2, 4, 6]}

    # As on a server, where shapes are not compared before the graph runs.
    @tf.function
    def sizes(**request: tf.Tensor) -> list[tf.Tensor]:
        return [tf.size(tensor) for tensor in check_shapes(inputs, request).values()]

    unspecified = {name: tf.TensorSpec(None, tf.int64) for name in good}
    graph = sizes.get_concrete_function(**unspecified)
    for zero in ({}, {"user": [0], "history_kind": [0, 3], "item_genres": [0, 4, 6]}, {"item_genres": [2, 0, 6]}):
        request = {**good, **zero}
        counts = graph(**{name: tf.zeros(shape, tf.int64) for name, shape in request.items()})
        assert [int(count) for count in counts] == [int(np.prod(shape)) for shape in request.values()]
    for name, shape, text in (
        ("user", [3], "[input 'history_kind' has the shape] [2 3] [Expected] [3 3] "
                      "[[U, T]: U is that of 'user', T is that of 'history_kind']"),
        ("history_kind", [0, 3], "[input 'history_kind' has the shape] [0 3] [Expected] [2 3] "
                                 "[[U, T]: U is that of 'user', T is that of 'history_kind']"),
        ("history_kind", [0], "[input 'history_kind' has the shape] [0] [Expected 2 axes: [U, T]]"),
        ("user", [], "[input 'user' has the shape] [] [Expected 1 axes: [U]]"),
        ("item_genres", [2, 4, 7], "[input 'item_genres' has the shape] [2 4 7] [Expected] [2 4 6] "
                                   "[[U, N, 6]: U is that of 'user', N is that of 'item_genres']"),
    ):  # fmt: skip
        tensors = {key: tf.zeros(size, tf.int64) for key, size in {**good, name: shape}.items()}
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            graph(**tensors)
        assert assertion_text(error.value.message) == text


@pytest.mark.parametrize("case", MISFITS)
def test_a_request_that_does_not_fit_is_refused_and_the_server_goes_on(
    case: str, answers: dict[str, dict[str, np.ndarray]]
) -> None:
    assert assertion_text(str(answers[case]["error"])) == MISFITS[case][2]
