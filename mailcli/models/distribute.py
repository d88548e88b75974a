"""One step on several replicas, each with its part of the batch: what they must tell one another to compute as one.

A step runs once on every replica of a tf.distribute.Strategy. What a replica computes of a sum or a mean over the whole
batch is its share: the shares of all replicas add up to what one replica alone computes of the whole batch, and so do
the gradients of the shares. With one replica every function here gives its argument back, and no node is added to the
graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mailcli.models.features import Tensor

#: Numbers that one block of Philox gives: what TensorFlow's float32 and bfloat16 samplers take of it at a time.
_BLOCK = 4
#: Philox in tf.random.Algorithm.
_PHILOX = 1


class Part(NamedTuple):
    """Where the rows of this replica are among those of all, in the order of the whole batch."""

    before: Tensor
    """Rows of the replicas before this one, int64."""
    own: Tensor
    """Its own."""
    total: Tensor
    """Of all replicas."""


Parts = tuple[Part, ...]


class Team(NamedTuple):
    """The replicas of a training, of this process and of others."""

    strategy: Any
    """tf.distribute.Strategy"""
    place: int = 0
    """Which of the workers this process is."""
    workers: int = 1


# Of this process, while models are trained on several replicas.
_teams: list[Team] = []
# The pieces of the rows at hand; a replica has a thread, and a thread a context, of its own.
_parts: ContextVar[Parts] = ContextVar("parts", default=())


@contextmanager
def on(team: Team) -> Iterator[None]:
    """Inside, models are made and trained on these replicas."""
    _teams.append(team)
    try:
        yield
    finally:
        _teams.pop()


def team() -> Team | None:
    """That of `on`; None where one replica is all there is."""
    return _teams[-1] if _teams else None


def worker() -> tuple[int, int]:
    """This process' place among the workers, and how many there are."""
    return (_teams[-1].place, _teams[-1].workers) if _teams else (0, 1)


def count() -> int:
    """How many replicas there are."""
    return int(_teams[-1].strategy.num_replicas_in_sync) if _teams else 1


@contextmanager
def scope() -> Iterator[None]:
    """Inside, every replica gets a copy of each variable; not around keras.utils.clear_session, which forgets it."""
    if not _teams:
        yield
        return

    def copied(make: Any, **given: Any) -> Any:
        # All replicas assign the same, so that there is nothing to be summed or sent.
        return make(**{**given, "aggregation": tf.VariableAggregation.NONE})

    with _teams[-1].strategy.scope(), tf.variable_creator_scope(copied):
        yield


def _context() -> Any | None:
    """The replica's context, where there are several; outside a step there is none."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def several() -> bool:
    """Whether this is a step on one of several replicas."""
    return _context() is not None


def total(x: Tensor) -> Tensor:
    """Σ of x over the replicas, the same on all of them; its gradient is that of the sum of the shares."""
    context = _context()
    return x if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def everyone(x: Tensor) -> Tensor:
    """The rows [n, ...] of all replicas, in the order of the whole batch."""
    context = _context()
    return x if context is None else context.all_gather(x, axis=0)


def total_of_each(tensors: Sequence[Tensor]) -> list[Tensor]:
    """`total` of tensors of one type, as one message."""
    flat = total(tf.concat([tf.reshape(x, [-1]) for x in tensors], axis=0))
    parts = tf.split(flat, [tf.size(x) for x in tensors])
    return [tf.reshape(part, tf.shape(x)) for part, x in zip(parts, tensors, strict=True)]


def total_gradients(gradients: Sequence[Any]) -> list[Any]:
    """The gradients of the whole batch from those of the shares; those of table rows stay rows of tf.IndexedSlices.

    None, of a variable that the loss does not depend on, stays None.
    """
    if not several():
        return list(gradients)
    dense = {place: g for place, g in enumerate(gradients) if tf.is_tensor(g) and not _is_sparse(g)}
    summed = dict(zip(dense, total_of_each(list(dense.values())), strict=True)) if dense else {}
    return [_together(g) if _is_sparse(g) else summed.get(place) for place, g in enumerate(gradients)]


def _is_sparse(gradient: Any) -> bool:
    return isinstance(gradient, tf.IndexedSlices)


def _together(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Rows and values of all replicas, a row once."""
    rows, place = tf.unique(everyone(gradient.indices))
    values = tf.math.unsorted_segment_sum(everyone(gradient.values), place, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def mine(batch: dict[str, Tensor], local: int) -> dict[str, Tensor]:
    """The replica's part of a worker's part of a batch.

    Args:
        batch: of the worker, whose `local` replicas take parts that differ by one row at most.
        local: how many replicas a worker has.
    """
    if local == 1:
        return batch
    context = tf.distribute.get_replica_context()
    place = tf.cast(context.replica_id_in_sync_group, tf.int32) % local
    # Where the batch is, so that a card is sent its part alone.
    with tf.device("CPU:0"):
        rows = tf.shape(batch["click"])[0]
        first, end = (rows * place) // local, (rows * (place + 1)) // local
        return {name: tensor[first:end] for name, tensor in batch.items()}


def run_on_all(step: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """A step of a batch that gives the same on all replicas, as one of a worker's part of it; for tf.function."""
    if not _teams:
        return step
    chosen = _teams[-1].strategy
    local = len(chosen.extended.worker_devices)

    def on_replicas(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        found = chosen.run(lambda: step(mine(batch, local)))
        return {name: chosen.experimental_local_results(each)[0] for name, each in found.items()}

    return on_replicas


@contextmanager
def rows(*counts: Tensor) -> Iterator[list[Parts]]:
    """Tell the other replicas how many rows of each kind this one has, in one message.

    Yields the parts of each kind, for `only`; inside, the rows at hand are those of the first.
    """
    context = _context()
    assert context is not None
    # Not int32, which cards keep in the host's memory.
    own = tf.stack([tf.cast(count, tf.int64) for count in counts])
    place = tf.cast(context.replica_id_in_sync_group, tf.int32)
    table = total(tf.one_hot(place, context.num_replicas_in_sync, dtype=tf.int64)[:, None] * own[None])
    earlier = tf.range(context.num_replicas_in_sync)[:, None] < place
    before = tf.reduce_sum(tf.where(earlier, table, tf.zeros_like(table)), axis=0)
    everything = tf.reduce_sum(table, axis=0)
    found: list[Parts] = [(Part(before[kind], own[kind], everything[kind]),) for kind in range(len(counts))]
    with only(found[0]):
        yield found


@contextmanager
def only(parts: Parts) -> Iterator[None]:
    """Inside, the rows at hand are those."""
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)


@contextmanager
def repeated(times: int) -> Iterator[None]:
    """Inside, the rows at hand are so many copies of those outside, one after the other."""
    parts = _parts.get()
    if times == 1 or not parts:
        yield
        return
    (part,) = parts
    everything = times * part.total
    with only(tuple(Part(part.before + k * part.total, part.own, everything) for k in range(times))):
        yield


def count_rows(x: Tensor) -> Tensor:
    """int32, how many rows x, which has one for each row at hand, has on all replicas together."""
    return tf.cast(_at_hand()[0].total, tf.int32) if several() else tf.shape(x)[0]


def mean(x: Tensor) -> Tensor:
    """The share of the mean of x [rows at hand]; with one replica the mean."""
    if not several():
        return tf.reduce_mean(x)
    return tf.math.divide_no_nan(tf.reduce_sum(x), tf.cast(count_rows(x), x.dtype))


def _at_hand() -> Parts:
    parts = _parts.get()
    if not parts:
        raise RuntimeError("with several replicas a step begins by `rows`")
    return parts


def uniform(x: Tensor, generator: Any) -> Tensor:
    """U[0, 1) in the shape and type of x [rows at hand, ...], what keras.random.uniform draws for the whole batch."""
    if not several():
        return keras.random.uniform(tf.shape(x), dtype=x.dtype, seed=generator)
    return _draw(tf.raw_ops.StatelessRandomUniformV2, x, generator)


def normal(x: Tensor, generator: Any) -> Tensor:
    """N(0, 1) in the shape and type of x [rows at hand, ...], what keras.random.normal draws for the whole batch."""
    if not several():
        return keras.random.normal(tf.shape(x), dtype=x.dtype, seed=generator)
    return _draw(tf.raw_ops.StatelessRandomNormalV2, x, generator)


def _draw(sampler: Any, x: Tensor, generator: Any) -> Tensor:
    """The replica's rows of what Keras draws for all: the numbers are counted, so that one may begin anywhere."""
    # As keras.src.backend.tensorflow.random has it.
    seed = tf.cast(tf.math.floormod(generator.next(), np.iinfo(np.int32).max - 1), tf.int32)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    parts = _at_hand()
    shape = tf.shape(x, tf.int64)
    width = tf.reduce_prod(shape[1:])
    drawn = []
    for part in parts:
        first, size = (tf.cast(each, tf.int64) * width for each in (part.before, part.own))
        skipped = first % _BLOCK
        at = _advanced(counter, first // _BLOCK)
        flat = sampler(shape=[skipped + size], key=key, counter=at, alg=_PHILOX, dtype=x.dtype)
        drawn.append(flat[skipped:])
    return tf.reshape(tf.concat(drawn, axis=0) if len(drawn) > 1 else drawn[0], shape)


def _advanced(counter: Tensor, blocks: Tensor) -> Tensor:
    """A counter [2] of 128 bits, the lower half first, so many blocks on."""
    low = counter[0] + tf.cast(blocks, tf.uint64)
    carried = tf.cast(tf.cast(low < counter[0], tf.int32), tf.uint64)
    return tf.stack([low, counter[1] + carried])
