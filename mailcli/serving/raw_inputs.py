"""Inputs of a request -> the values of the dataset's columns, as a graph without Python."""

from __future__ import annotations

import tensorflow as tf

from mailcli.models.features import Tensor
from mailcli.preprocessing.schema_file.definition import TIME_LIMIT
from mailcli.serving.signatures import MISSING_NUMBER, TIME, Input


def column_values(input_: Input, raw: dict[str, Tensor]) -> Tensor:
    """The values of an input that its vocabulary may contain: buckets are cut, missing hours and weekdays computed."""
    values, derivation = raw[input_.name], input_.derivation
    if derivation.edges:
        return _buckets(values, derivation.edges)
    if derivation.clock:
        time = _checked_time(raw[TIME])
        computed = tf.where(time == MISSING_NUMBER, time, derivation.of_time(time))
        return tf.where(values == MISSING_NUMBER, computed, values)
    return values


def is_missing(input_: Input, values: Tensor) -> Tensor:
    """Whether values of an input are missing."""
    is_given = values != input_.missing
    if values.dtype.is_floating:
        is_given &= tf.math.is_finite(values)
    return ~is_given


def _buckets(numbers: Tensor, edges: tuple[float, ...]) -> Tensor:
    """How many edges each number reaches, as int64; MISSING_NUMBER for a missing or infinite one."""
    flat = tf.reshape(numbers, [-1])
    reached = tf.searchsorted(tf.constant(edges, tf.float64), flat, side="right", out_type=tf.int64)
    is_given = tf.math.is_finite(flat) & (flat != MISSING_NUMBER)
    return tf.reshape(tf.where(is_given, reached, MISSING_NUMBER), tf.shape(numbers))


def _checked_time(time: Tensor) -> Tensor:
    """The times of a request. When the graph runs, a time in another unit is an InvalidArgumentError."""
    is_time = (time == MISSING_NUMBER) | ((time >= 0) & (time < TIME_LIMIT))
    message = [f"input '{TIME}' holds", time, f"Expected seconds since 1970, from 0 to {TIME_LIMIT - 1}"]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_time), message)]):
        return tf.identity(time)
