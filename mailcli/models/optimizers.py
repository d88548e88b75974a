"""Adam that touches only the rows of an embedding table that a batch uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Tensor
from mailcli.models.sparse_ops import sum_at


class SparseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, ICLR 2015) for gradients of gathered rows: the moments and weights of other rows stay.

    m ← m + (1 - β₁)(g - m); v ← v + (1 - β₂)(g² - v); w ← w - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε), as Keras' Adam
    has it, t being the steps of the optimizer, not of the row. The cost of a step does not depend on the size of the
    table. Equal to Keras' Adam while every row is in every batch; otherwise a row that is not in the batch is not moved
    by its older gradients, as it is there.

    A variable whose gradient is a plain tensor is updated whole, in one pass over it.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Tensor) -> None:
        """Move one variable; `gradient` is a tensor of its shape, or tf.IndexedSlices of its rows."""
        place = self._get_variable_index(variable)
        m, v = self._momentums[place].value, self._velocities[place].value
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        power_1, power_2 = (tf.pow(tf.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2))
        rate = tf.cast(learning_rate, dtype)
        if isinstance(gradient, tf.IndexedSlices):
            alpha = rate * tf.sqrt(1 - power_2) / (1 - power_1)
            rows, g = sum_duplicates(gradient)
            m_rows, v_rows, w_rows = (tf.gather(each, rows) for each in (m, v, variable))
            m_rows += (1 - self.beta_1) * (g - m_rows)
            v_rows += (1 - self.beta_2) * (tf.square(g) - v_rows)
            w_rows -= alpha * m_rows / (tf.sqrt(v_rows) + self.epsilon)
            # scatter_update copies whole rows; scatter_sub is ten times slower.
            for each, new in ((m, m_rows), (v, v_rows), (variable, w_rows)):
                each.scatter_update(tf.IndexedSlices(new, rows))
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=gradient,
        )


def move(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """Apply gradients by a Keras optimizer; on several replicas, the sum of what each has.

    Returns:
        The gradients that were applied.
    """
    if not distribute.several():
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return list(gradients)
    gradients = distribute.total_gradients(gradients)
    # `apply_gradients` would sum once more, with a message for each variable. All replicas are moved alike.
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is not None:
            optimizer.update_step(gradient, variable.value, optimizer.learning_rate)
    optimizer.iterations.assign_add(1)
    return list(gradients)


def sum_duplicates(gradient: tf.IndexedSlices) -> tuple[Tensor, Tensor]:
    """The distinct rows [U] of a gradient, and the sum of what it has for each [U, ...]."""
    rows, place = tf.unique(gradient.indices)
    count = tf.size(rows)
    values = gradient.values
    shape = tf.concat([[count], tf.shape(values)[1:]], axis=0)
    summed = tf.cond(
        count == tf.size(gradient.indices),
        lambda: values,
        lambda: tf.reshape(sum_at(tf.reshape(values, [tf.size(place), -1]), place, count), shape),
    )
    return rows, summed


class Optimizers(NamedTuple):
    """Adam twice, β = (0.9, 0.999) (MAIL Sec. 4.1.4)."""

    zero_shot: Any
    """G_A, which moves the zero-shot tower and nothing else."""
    ranking: Any
    """G_B, which moves the ranking tower and the embedding table and nothing else."""
