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
        input_.name: tf.shape(tf.raw_ops.PlaceholderWithDefault(input=raw[input_.name], shape=tf.TensorShape(None)))
        for input_ in inputs
    }
    checks: list[tf.Operation] = []
    # One after another, so that of several faults the same one is reported every time.
    for input_ in inputs:
        message = [
            f"input '{input_.name}' has the shape",
            shapes[input_.name],
            f"Expected {len(input_.axes)} axes: {input_.axes_text}",
        ]
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.equal(tf.size(shapes[input_.name]), len(input_.axes)), message))
    first = {axis: (input_.name, number) for input_ in reversed(inputs) for number, axis in enumerate(input_.axes)}
    with tf.control_dependencies(checks):
        sizes = {axis: tf.identity(shapes[name])[number] for axis, (name, number) in first.items() if axis in SIZES}
    for input_ in inputs:
        expected = tf.stack([sizes.get(axis, axis) for axis in input_.axes])
        origins = [f"{axis} is that of '{first[axis][0]}'" for axis in input_.axes if axis in SIZES]
        explanation = f"{input_.axes_text}: {', '.join(origins)}"
        message = [f"input '{input_.name}' has the shape", shapes[input_.name], "Expected", expected, explanation]
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.reduce_all(tf.equal(shapes[input_.name], expected)), message))
    with tf.control_dependencies(checks):
        return {input_.name: tf.identity(raw[input_.name]) for input_ in inputs}
