"""Adam that touches only the rows of an embedding table that a batch uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Tensor
from mailcli.models.sparse_ops import scatter_sum


class SparseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, ICLR 2015) for gradients of gathered rows: moments and weights of other rows do not change.

    m ← m + (1 - β₁)(g - m); v ← v + (1 - β₂)(g² - v); w ← w - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε), as in Keras'
    Adam; t counts the steps of the optimizer, not of the row. The cost of a step does not depend on the size of the
    table. Equal to Keras' Adam as long as every row is in every batch; otherwise, unlike there, a row that is not in
    the batch is not moved by its earlier gradients.

    A variable whose gradient is a plain tensor is updated whole, in one pass over it.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Tensor) -> None:
        """Update one variable; `gradient` is a tensor of its shape, or tf.IndexedSlices of its rows."""
        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        power_1, power_2 = (tf.pow(tf.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2))
        rate = tf.cast(learning_rate, dtype)
        if isinstance(gradient, tf.IndexedSlices):
            alpha = rate * tf.sqrt(1 - power_2) / (1 - power_1)
            rows, g = sum_duplicates(gradient)
            m_rows, v_rows, w_rows = (tf.gather(x, rows) for x in (m, v, variable))
            m_rows += (1 - self.beta_1) * (g - m_rows)
            v_rows += (1 - self.beta_2) * (tf.square(g) - v_rows)
            w_rows -= alpha * m_rows / (tf.sqrt(v_rows) + self.epsilon)
            # scatter_update copies whole rows; scatter_sub is ten times slower.
            for x, x_rows in ((m, m_rows), (v, v_rows), (variable, w_rows)):
                x.scatter_update(tf.IndexedSlices(x_rows, rows))
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


def apply_gradients(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """Apply gradients with a Keras optimizer; on several replicas, their sum over the replicas.

    Returns:
        The gradients that were applied.
    """
    if not distribute.is_distributed():
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return list(gradients)
    gradients = distribute.all_reduce_gradients(gradients)
    # `optimizer.apply_gradients` would sum once more, with a message per variable; every replica makes the same update.
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is not None:
            optimizer.update_step(gradient, variable.value, optimizer.learning_rate)
    optimizer.iterations.assign_add(1)
    return list(gradients)


def sum_duplicates(gradient: tf.IndexedSlices) -> tuple[Tensor, Tensor]:
    """The distinct rows [U] of a gradient, and the sum of the values of each [U, ...]."""
    rows, position = tf.unique(gradient.indices)
    count = tf.size(rows)
    values = gradient.values
    shape = tf.concat([[count], tf.shape(values)[1:]], axis=0)
    summed = tf.cond(
        count == tf.size(gradient.indices),
        lambda: values,
        lambda: tf.reshape(scatter_sum(tf.reshape(values, [tf.size(position), -1]), position, count), shape),
    )
    return rows, summed


class Optimizers(NamedTuple):
    """Adam twice, β = (0.9, 0.999) (MAIL Sec. 4.1.4)."""

    zero_shot: Any
    """G_A, which updates the zero-shot tower and nothing else."""
    ranking: Any
    """G_B, which updates the ranking tower and the embedding table and nothing else."""
