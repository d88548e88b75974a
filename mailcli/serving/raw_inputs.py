"""Inputs of a request -> the values of the dataset's columns, as a graph without Python."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mailcli.data.derivations import Derivation
from mailcli.models.features import Tensor
from mailcli.serving.signatures import MISSING_NUMBER, TIME, Input
from mailcli.serving.time_limits import TimeLimits


def column_values(input_: Input, raw: dict[str, Tensor]) -> Tensor:
    """The values of a field that its vocabulary may contain: numbers are cut, hours and weekdays are computed."""
    derivation = input_.derivation
    if derivation.clock:
        return derivation.of_time(raw[TIME])
    values = raw[input_.name]
    return _buckets(input_, values) if derivation.edges else values


def is_missing(input_: Input, values: Tensor) -> Tensor:
    """Whether values of an input are missing."""
    is_given = values != input_.missing
    if values.dtype.is_floating:
        is_given &= tf.math.is_finite(values)
    for value in _missing_values(input_.derivation, values.dtype):
        is_given &= values != tf.constant(value, values.dtype)
    return ~is_given


def _missing_values(derivation: Derivation, dtype: tf.DType) -> list[Any]:
    """What stands for a missing value of a type, besides the type's own."""
    if dtype == tf.string:
        return [*derivation.missing]
    if dtype == tf.int64:
        return [int(number) for number in derivation.missing_numbers if number.is_integer() and abs(number) < 2**63]
    return derivation.missing_numbers


def checked_time(time: Tensor, limits: TimeLimits) -> Tensor:
    """The times of a request, [U].

    When the graph runs, it raises tf.errors.InvalidArgumentError for the first time in another unit, or a missing one.
    """
    is_time = (time >= limits.earliest) & (time <= limits.latest)
    # A right one at the end, so that there is something to take even if nobody asks.
    row = tf.argmin(tf.concat([tf.cast(is_time, tf.int32), [1]], axis=0))
    value = tf.concat([time, tf.constant([limits.earliest], tf.int64)], axis=0)[row]
    message = ["row", row + 1, f"of input '{TIME}' holds", value, f"Expected {limits.expected}"]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_time), message)]):
        return tf.identity(time)


def _buckets(input_: Input, numbers: Tensor) -> Tensor:
    """How many edges each number reaches, as int64; MISSING_NUMBER for a missing or infinite one."""
    flat, edges = tf.reshape(numbers, [-1]), tf.constant(input_.derivation.edges, tf.float64)
    reached = tf.searchsorted(edges, flat, side="right", out_type=tf.int64)
    return tf.reshape(tf.where(~is_missing(input_, flat), reached, MISSING_NUMBER), tf.shape(numbers))
