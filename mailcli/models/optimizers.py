"""Adam that touches only the rows of an embedding table that a batch uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models import distribute
from mailcli.models.features import Tensor
from mailcli.models.sparse_ops import scatter_sum
from mailcli.models.table.mapped import MappedTable, MappedVariable

#: Rows that `catch_up` moves at once (ours: 32 MB per temporary at d = 32).
ROWS_AT_ONCE = 2**18
#: As in Adam's paper (Kingma and Ba, ICLR 2015); Keras' default is 1e-7.
ADAM_EPSILON = 1e-8


class SparseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, ICLR 2015) for gradients of gathered rows, at a cost that does not depend on the table.

    m ← m + (1 - β₁)(g - m); v ← v + (1 - β₂)(g² - v); w ← w - α_t m / (√v + ε), α_t = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ), as in
    Keras' Adam. There, a row whose gradient is 0 moves on by its momentum, in every step. Here a row is only touched
    when it is in a batch. What it has missed in the k steps between is caught up then, in closed form: m β₁ᵏ, v β₂ᵏ,

        w - m / (√v + ε) · Σ_{j=1..k} α_{t+j} (β₁ / √β₂)ʲ

    This is exact except for ε, and the same whether it is done at once or in parts. `outstanding` returns what is
    still missing to the forward pass, which reads the shared table; `catch_up` applies it to all rows before a model is
    scored or saved. A ranker that gathers rows of its own (`Wide`; DMR's vectors of more than 2,000 items) reads them
    as their last gradient left them: the losses of steps differ from Adam's by some 1e-4 (up to 7e-4 in 40 steps of
    `widedeep`).

    A variable whose gradient is a plain tensor is updated whole, in one pass over it.
    """

    _shared: dict[str, Tensor] | None = None
    """The constants of the update that is being made."""

    def build(self, variables: Sequence[Any]) -> None:
        """Make the moments, and for each row the step of its last gradient; 0 before the first."""
        if self.built:
            return
        super().build(variables)
        self._sums = future_sums(self.beta_1, self.beta_2)
        self._updated = [
            self.add_variable((max([1, *variable.shape[:1]]),), "zeros", "int32", name="updated")
            for variable in variables
        ]
        # As graphs: outside of one, tf.distribute starts threads for every call, and TensorFlow keeps some of them.
        self._catch_up_graphs = [
            tf.function(
                distribute.on_each_replica(partial(self._catch_up_rows, index)),
                input_signature=[tf.TensorSpec([None], tf.int64)],
                autograph=False,
            )
            for index in range(len(variables))
        ]
        self._mapped: dict[int, list[MappedVariable]] = {}
        self._mapped_catch_up_graphs: dict[int, Callable[..., tuple[Tensor, Tensor, Tensor]]] = {}

    def map_rows(self, variable: Any, table: MappedTable) -> None:
        """Map the moments of a mapped table's variable as well."""
        index = self._get_variable_index(variable)
        table.drop_moments()
        (whole,) = table.whole([variable])
        state = (self._momentums, self._velocities, self._updated)
        self._mapped[index] = [whole, *(table.add(x[index]) for x in state)]
        signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in self._mapped[index]]
        self._mapped_catch_up_graphs[index] = tf.function(self._caught_up, input_signature=signature, autograph=False)

    def outstanding(self, variable: Any, rows: Tensor) -> Tensor:
        """[U, d], what momentum has yet to add to some rows of a variable, before the next update."""
        index = self._get_variable_index(variable)
        m, v = (tf.gather(x[index].value, rows) for x in (self._momentums, self._velocities))
        shift, _, _ = self._missed(tf.gather(self._updated[index].value, rows), m, v)
        return shift

    def catch_up(self) -> None:
        """Move all rows of all variables on to the present step."""
        now = int(np.asarray(self.iterations))
        for index, catch_up in enumerate(self._catch_up_graphs):
            mapped = self._mapped.get(index)
            steps = np.asarray(mapped[-1] if mapped else self._updated[index])
            rows = np.flatnonzero((steps > 0) & (steps < now))
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = rows[start : start + ROWS_AT_ONCE]
                if mapped:
                    self._catch_up_mapped(index, part, now)
                else:
                    catch_up(tf.constant(part, tf.int64))

    def _catch_up_rows(self, index: int, rows: Tensor) -> None:
        variables = [x[index].value for x in (self._trainable_variables, self._momentums, self._velocities)]
        w, m, v = (tf.gather(x, rows) for x in variables)
        self._write(
            index, rows, *self._caught_up(w, m, v, tf.gather(self._updated[index].value, rows)), self.iterations
        )

    def _catch_up_mapped(self, index: int, rows: NDArray[np.int64], now: int) -> None:
        values = [variable.changeable() for variable in self._mapped[index]]
        caught_up = self._mapped_catch_up_graphs[index](*(x[rows] for x in values))
        for x, new in zip(values, (*caught_up, now), strict=True):
            x[rows] = new

    def _caught_up(self, w: Tensor, m: Tensor, v: Tensor, updated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weights and moments [U, ...] of rows at the present step."""
        shift, m, v = self._missed(updated, m, v)
        return w + shift, m, v

    def _missed(self, updated: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The shift of the weights and the moments m and v [U, ...] of rows, after their steps without a gradient.

        Args:
            updated: [U], the step of each row's last gradient.
            m: before these steps.
            v: before these steps.
        """
        now = tf.cast(self.iterations, updated.dtype)
        k = tf.where(updated > 0, now - updated, 0)
        sums, last = tf.constant(self._sums, m.dtype), len(self._sums) - 1
        before, after = (tf.gather(sums, tf.minimum(step, last)) for step in (updated, updated + k))
        # A column for matrices, whose rows have one step each.
        k, before, after = (
            tf.reshape(tf.cast(x, m.dtype), [-1, *[1] * (len(m.shape) - 1)]) for x in (k, before, after)
        )
        total = before - tf.pow(tf.cast(self.beta_1 / self.beta_2**0.5, m.dtype), k) * after
        shift = -tf.cast(self.learning_rate, m.dtype) * m / (tf.sqrt(v) + self.epsilon) * total
        return shift, m * tf.pow(tf.cast(self.beta_1, m.dtype), k), v * tf.pow(tf.cast(self.beta_2, v.dtype), k)

    def _alpha(self, dtype: Any) -> Tensor:
        """lr √(1 - β₂ᵗ) / (1 - β₁ᵗ)."""
        constants = self._constants(dtype)
        power_1, power_2 = constants["beta1_power"], constants["beta2_power"]
        return tf.cast(self.learning_rate, dtype) * tf.sqrt(1 - power_2) / (1 - power_1)

    def _write(self, index: int, rows: Tensor, w: Tensor, m: Tensor, v: Tensor, step: Tensor) -> None:
        """Write the new values of rows, and the step that they are of."""
        # scatter_update copies whole rows; scatter_sub is ten times slower.
        for variables, x in ((self._trainable_variables, w), (self._momentums, m), (self._velocities, v)):
            variables[index].value.scatter_update(tf.IndexedSlices(x, rows))
        steps = tf.fill([tf.size(rows)], tf.cast(step, tf.int32))
        self._updated[index].value.scatter_update(tf.IndexedSlices(steps, rows))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Update all variables; what their updates share is computed once, which builds a graph sooner."""
        # Keras would keep them, and with them the graph, as a part of checkpoints.
        object.__setattr__(self, "_shared", self._new_constants(tf.float32))
        try:
            super().apply(grads, trainable_variables)
        finally:
            object.__setattr__(self, "_shared", None)

    def _constants(self, dtype: Any) -> dict[str, Tensor]:
        return self._shared if self._shared and dtype == tf.float32 else self._new_constants(dtype)

    def _new_constants(self, dtype: Any) -> dict[str, Tensor]:
        """β₁, β₂ and ε, and β₁ᵗ and β₂ᵗ of the step t that is being made, by the names of ResourceApplyAdam."""
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2, epsilon = (tf.cast(x, dtype) for x in (self.beta_1, self.beta_2, self.epsilon))
        powers = {"beta1_power": tf.pow(beta_1, step), "beta2_power": tf.pow(beta_2, step)}
        return powers | {"beta1": beta_1, "beta2": beta_2, "epsilon": epsilon}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Tensor) -> None:
        """Update one variable; `gradient` is a tensor of its shape, or tf.IndexedSlices of its rows."""
        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        dtype = variable.dtype
        if isinstance(gradient, tf.IndexedSlices):
            rows, g = sum_duplicates(gradient)
            m_rows, v_rows, w_rows = (tf.gather(x, rows) for x in (m, v, variable))
            updated = tf.gather(self._updated[index].value, rows)
            shift, m_rows, v_rows = self._missed(updated, m_rows, v_rows)
            m_rows += (1 - self.beta_1) * (g - m_rows)
            v_rows += (1 - self.beta_2) * (tf.square(g) - v_rows)
            w_rows += shift - self._alpha(dtype) * m_rows / (tf.sqrt(v_rows) + self.epsilon)
            self._write(index, rows, w_rows, m_rows, v_rows, self.iterations + 1)
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            lr=tf.cast(learning_rate, dtype),
            grad=gradient,
            **self._constants(dtype),
        )


class DenseAdam(keras.optimizers.Adam):
    """Keras' Adam, which moves every row in every step; the values of a row that occurs twice are summed first.

    Keras takes each of them for a gradient of its own, and squares them one by one.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Tensor) -> None:
        """Update one variable; `gradient` is a tensor of its shape, or tf.IndexedSlices of its rows."""
        if isinstance(gradient, tf.IndexedSlices):
            rows, values = sum_duplicates(gradient)
            gradient = tf.IndexedSlices(values, rows, gradient.dense_shape)
        super().update_step(gradient, variable, learning_rate)


def future_sums(beta_1: float, beta_2: float) -> NDArray[np.float64]:
    """F(t) = Σ_{j≥1} rʲ a(t + j), r = β₁ / √β₂, a(t) = √(1 - β₂ᵗ) / (1 - β₁ᵗ), for t = 0, 1, ... until a is 1.

    How far a momentum of 1 moves a weight after step t, at a rate of 1 and √v = 1, while gradients are 0. In k steps it
    moves it by F(t) - rᵏ F(t + k). Backward, F(t) = r (a(t + 1) + F(t + 1)).
    """
    ratio = beta_1 / beta_2**0.5
    # Until β₂ᵗ is below the precision of float32 (ours).
    steps = math.ceil(math.log(1e-9) / math.log(beta_2))
    t = np.arange(1, steps + 1)
    factors = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    sums = np.empty(steps + 1)
    sums[steps] = ratio / (1 - ratio)
    for step in range(steps - 1, -1, -1):
        sums[step] = ratio * (factors[step] + sums[step + 1])
    return sums


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
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
    optimizer.iterations.assign_add(1)
    return list(gradients)


def global_norm(gradients: Sequence[Any]) -> Tensor:
    """√Σ g² over all gradients but None; the values of a row that occurs twice in tf.IndexedSlices are summed first."""
    return tf.linalg.global_norm(
        [sum_duplicates(g)[1] if isinstance(g, tf.IndexedSlices) else g for g in gradients if g is not None]
    )


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

    @property
    def outstanding(self) -> Callable[[Any, Tensor], Tensor] | None:
        """What G_B has yet to add to rows of the table, SparseAdam.outstanding; None if it moves all rows."""
        return self.ranking.outstanding if isinstance(self.ranking, SparseAdam) and self.ranking.built else None

    def catch_up(self) -> None:
        """Bring all rows of G_B's variables up to the present step; call it before a model is scored or saved."""
        if isinstance(self.ranking, SparseAdam):
            self.ranking.catch_up()
