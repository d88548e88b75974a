"""Checks of a request's shapes, inside the graph."""

from __future__ import annotations

import tensorflow as tf

from mailcli.models.features import Tensor
from mailcli.serving.signatures import SIZES, Input


def check_shapes(inputs: tuple[Input, ...], raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a request, whose inputs must agree on U, T and N; nothing is computed before all are compared.

    A server does not compare shapes with the signature's, and some kernels divide by a size that is zero or broadcast.
    The first input with an axis determines its size.

    Returns:
        The tensors. When the graph runs, it raises tf.errors.InvalidArgumentError, which names the first input of
        another shape.
    """
    # Without the placeholders TensorFlow would infer from the signature that the shapes are equal, and drop the checks.
    shapes = {
        given.name: tf.shape(tf.raw_ops.PlaceholderWithDefault(input=raw[given.name], shape=tf.TensorShape(None)))
        for given in inputs
    }
    checks: list[tf.Operation] = []
    # One after another, so that of several faults the same one is reported every time.
    for given in inputs:
        message = [
            f"input '{given.name}' has the shape",
            shapes[given.name],
            f"Expected {len(given.axes)} axes: {given.axes_text}",
        ]
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.equal(tf.size(shapes[given.name]), len(given.axes)), message))
    first = {axis: (given.name, number) for given in reversed(inputs) for number, axis in enumerate(given.axes)}
    with tf.control_dependencies(checks):
        sizes = {axis: tf.identity(shapes[name])[number] for axis, (name, number) in first.items() if axis in SIZES}
    for given in inputs:
        expected = tf.stack([sizes.get(axis, axis) for axis in given.axes])
        origins = [f"{axis} is that of '{first[axis][0]}'" for axis in given.axes if axis in SIZES]
        explanation = f"{given.axes_text}: {', '.join(origins)}"
        message = [f"input '{given.name}' has the shape", shapes[given.name], "Expected", expected, explanation]
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.reduce_all(tf.equal(shapes[given.name], expected)), message))
    with tf.control_dependencies(checks):
        return {given.name: tf.identity(raw[given.name]) for given in inputs}
