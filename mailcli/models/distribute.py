"""One training step on several replicas, each with its part of the batch, that computes what one replica would.

A step runs once on every replica of a tf.distribute.Strategy. Of a sum or mean over the whole batch, each replica
computes its share: the shares of all replicas add up to what a single replica computes on the whole batch, and so do
the gradients of the shares. With one replica, nothing is exchanged: sums and gathers return their argument, and the
others compute what TensorFlow or Keras would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mailcli.models.features import Tensor
from mailcli.models.philox import sample_rows


class RowRange(NamedTuple):
    """The rows of this replica among those of all replicas, in the order of the whole batch."""

    start: Tensor
    """How many rows the earlier replicas have, int64."""
    size: Tensor
    """How many rows this replica has."""
    total: Tensor
    """How many rows all replicas have."""


RowRanges = tuple[RowRange, ...]


class ReplicaGroup(NamedTuple):
    """The replicas of a training run, in this process and in others."""

    strategy: Any
    """tf.distribute.Strategy"""
    worker_index: int = 0
    """The index of this process among the workers."""
    worker_count: int = 1


# The groups entered by `use_replicas` in this process, the current one last.
_groups: list[ReplicaGroup] = []
# The ranges of the current rows. A replica has a thread, and a thread a context, of its own.
_row_ranges: ContextVar[RowRanges] = ContextVar("row_ranges", default=())


@contextmanager
def use_replicas(group: ReplicaGroup) -> Iterator[None]:
    """Build and train models on these replicas inside the `with` block."""
    _groups.append(group)
    try:
        yield
    finally:
        _groups.pop()


def replica_group() -> ReplicaGroup | None:
    """The group of `use_replicas`; None with a single replica."""
    return _groups[-1] if _groups else None


def worker() -> tuple[int, int]:
    """The index of this process among the workers, and the number of workers."""
    return (_groups[-1].worker_index, _groups[-1].worker_count) if _groups else (0, 1)


def worker_index() -> int:
    """The index of this process among the workers."""
    return worker()[0]


def worker_count() -> int:
    """The number of workers."""
    return worker()[1]


def replica_count() -> int:
    """The number of replicas."""
    return int(_groups[-1].strategy.num_replicas_in_sync) if _groups else 1


def device_counts() -> dict[str, int]:
    """The numbers of workers, replicas and GPUs, as environment.json holds them."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    return {"workers": worker_count(), "replicas": replica_count(), "gpus": gpus}


def copies(variable: Any) -> Sequence[Any]:
    """A Keras variable's copies on the replicas of this worker; with one replica, its only one."""
    if not _groups:
        return [variable.value]
    local: Sequence[Any] = _groups[-1].strategy.experimental_local_results(variable.value)
    return local


@contextmanager
def scope() -> Iterator[None]:
    """Give every replica a copy of each variable; keras.utils.clear_session, which ends the scope, stays outside."""
    if not _groups:
        yield
        return

    def create_copies(create: Any, **options: Any) -> Any:
        # All replicas assign the same values, so nothing has to be summed or sent.
        return create(**{**options, "aggregation": tf.VariableAggregation.NONE})

    with _groups[-1].strategy.scope(), tf.variable_creator_scope(create_copies):
        yield


def _context() -> Any | None:
    """The replica context; None outside a step and with a single replica."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def is_distributed() -> bool:
    """Whether this code runs in a step on one of several replicas."""
    return _context() is not None


def all_reduce_sum(x: Tensor) -> Tensor:
    """Σ of x over the replicas, the same on all of them; its gradient is that of the sum of the shares."""
    context = _context()
    return x if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def all_gather(x: Tensor) -> Tensor:
    """The rows [n, ...] of all replicas, in the order of the whole batch."""
    context = _context()
    return x if context is None else context.all_gather(x, axis=0)


def all_reduce_sums(tensors: Sequence[Tensor]) -> list[Tensor]:
    """`all_reduce_sum` of several tensors of one type, in one message."""
    flat = all_reduce_sum(tf.concat([tf.reshape(x, [-1]) for x in tensors], axis=0))
    parts = tf.split(flat, [tf.size(x) for x in tensors])
    return [tf.reshape(part, tf.shape(x)) for part, x in zip(parts, tensors, strict=True)]


def all_reduce_gradients(gradients: Sequence[Any]) -> list[Any]:
    """The gradients of the whole batch from those of the shares; gradients of table rows stay tf.IndexedSlices.

    None, the gradient of a variable that the loss does not depend on, stays None.
    """
    if not is_distributed():
        return list(gradients)
    dense = {index: g for index, g in enumerate(gradients) if tf.is_tensor(g) and not _is_sparse(g)}
    summed = dict(zip(dense, all_reduce_sums(list(dense.values())), strict=True)) if dense else {}
    return [_all_reduce_slices(g) if _is_sparse(g) else summed.get(index) for index, g in enumerate(gradients)]


def _is_sparse(gradient: Any) -> bool:
    return isinstance(gradient, tf.IndexedSlices)


def _all_reduce_slices(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """The rows of all replicas, each row once, with the sum of its values."""
    rows, position = tf.unique(all_gather(gradient.indices))
    values = tf.math.unsorted_segment_sum(all_gather(gradient.values), position, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def replica_batch(batch: dict[str, Tensor], local_replicas: int) -> dict[str, Tensor]:
    """This replica's part of its worker's part of a batch; the parts differ by at most one row.

    Args:
        batch: the worker's part.
        local_replicas: the number of replicas of a worker.
    """
    if local_replicas == 1:
        return batch
    context = tf.distribute.get_replica_context()
    index = tf.cast(context.replica_id_in_sync_group, tf.int32) % local_replicas
    # Split on the CPU, where the batch is, so that a graphics card is sent only its part.
    with tf.device("CPU:0"):
        rows = tf.shape(batch["click"])[0]
        start, end = (rows * index) // local_replicas, (rows * (index + 1)) // local_replicas
        return {name: tensor[start:end] for name, tensor in batch.items()}


def run_on_replicas(step: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """Run a step on all replicas of this worker, each on its part of the worker's batch; for use in tf.function.

    Args:
        step: must return the same on all replicas.
    """
    if not _groups:
        return step
    strategy = _groups[-1].strategy
    local_replicas = len(strategy.extended.worker_devices)

    def distributed_step(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        outputs = strategy.run(lambda: step(replica_batch(batch, local_replicas)))
        return {name: strategy.experimental_local_results(output)[0] for name, output in outputs.items()}

    return distributed_step


def on_each_replica(function: Callable[..., None]) -> Callable[..., None]:
    """A function that changes variables without a message, run by every replica of this worker."""
    if not _groups:
        return function
    strategy = _groups[-1].strategy
    return lambda *arguments: strategy.run(function, args=arguments)


@contextmanager
def exchange_row_counts(*counts: Tensor) -> Iterator[list[RowRanges]]:
    """Exchange with the other replicas, in one message, how many rows of each kind every replica has.

    Yields the ranges of each kind, for `use_rows`; inside the block, the current rows are those of the first kind.
    """
    context = _context()
    assert context is not None
    # int64, because graphics cards keep int32 in the host's memory.
    own = tf.stack([tf.cast(count, tf.int64) for count in counts])
    index = tf.cast(context.replica_id_in_sync_group, tf.int32)
    table = all_reduce_sum(tf.one_hot(index, context.num_replicas_in_sync, dtype=tf.int64)[:, None] * own[None])
    earlier = tf.range(context.num_replicas_in_sync)[:, None] < index
    start = tf.reduce_sum(tf.where(earlier, table, tf.zeros_like(table)), axis=0)
    total = tf.reduce_sum(table, axis=0)
    ranges: list[RowRanges] = [(RowRange(start[kind], own[kind], total[kind]),) for kind in range(len(counts))]
    with use_rows(ranges[0]):
        yield ranges


@contextmanager
def use_rows(ranges: RowRanges) -> Iterator[None]:
    """Make these the current rows inside the `with` block."""
    token = _row_ranges.set(ranges)
    try:
        yield
    finally:
        _row_ranges.reset(token)


@contextmanager
def repeated_rows(times: int) -> Iterator[None]:
    """Make the current rows, repeated `times` times one after the other, the current ones inside the `with` block."""
    ranges = _row_ranges.get()
    if times == 1 or not ranges:
        yield
        return
    (rows,) = ranges
    total = times * rows.total
    with use_rows(tuple(RowRange(rows.start + k * rows.total, rows.size, total) for k in range(times))):
        yield


def global_row_count(x: Tensor) -> Tensor:
    """int32, the rows of x on all replicas together; x must have one row for each current row."""
    return tf.cast(_current_rows()[0].total, tf.int32) if is_distributed() else tf.shape(x)[0]


def mean_share(x: Tensor) -> Tensor:
    """This replica's share of the mean of x [current rows]; with one replica, the mean."""
    if not is_distributed():
        return tf.reduce_mean(x)
    return tf.math.divide_no_nan(tf.reduce_sum(x), tf.cast(global_row_count(x), x.dtype))


def _current_rows() -> RowRanges:
    ranges = _row_ranges.get()
    if not ranges:
        raise RuntimeError("on several replicas, a step must begin with `exchange_row_counts`")
    return ranges


def uniform(x: Tensor, generator: Any) -> Tensor:
    """U[0, 1) in the shape and type of x [current rows, ...]: its rows of keras.random.uniform for the whole batch."""
    if not is_distributed():
        return keras.random.uniform(tf.shape(x), dtype=x.dtype, seed=generator)
    return _sample(tf.raw_ops.StatelessRandomUniformV2, x, generator)


def normal(x: Tensor, generator: Any) -> Tensor:
    """N(0, 1) in the shape and type of x [current rows, ...]: its rows of keras.random.normal for the whole batch."""
    if not is_distributed():
        return keras.random.normal(tf.shape(x), dtype=x.dtype, seed=generator)
    return _sample(tf.raw_ops.StatelessRandomNormalV2, x, generator)


def _sample(sampler: Any, x: Tensor, generator: Any) -> Tensor:
    """This replica's rows of what Keras samples for the whole batch."""
    seed, shape = generator.next(), tf.shape(x)
    width = tf.reduce_prod(shape[1:])
    samples = [sample_rows(sampler, seed, width, rows.start, rows.size, x.dtype) for rows in _current_rows()]
    return tf.reshape(tf.concat(samples, axis=0) if len(samples) > 1 else samples[0], shape)
