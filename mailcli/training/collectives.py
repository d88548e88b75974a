"""What the workers of a training exchange besides gradients: variables, the training state, scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models import distribute

#: Bytes of a message (ours); sending it takes several times as much memory.
_CHUNK = 1 << 23


def broadcast(variables: Iterable[Any]) -> None:
    """Give every worker the chief's variables, bit by bit and without a second copy of them in memory."""
    if distribute.worker_count() == 1:
        return
    for variable in variables:
        _broadcast_variable(variable)


def _broadcast_variable(variable: Any) -> None:
    """Some rows at a time: a table may take half of a machine's memory."""
    index, _ = distribute.worker()
    copies = distribute.copies(variable)
    if not copies[0].shape.rank:
        value = _array_from_chief(np.asarray(copies[0]))
        for copy in copies if index else ():
            copy.assign(value)
        return
    count = copies[0].shape[0]
    step = max(_CHUNK * count // max(copies[0].shape.num_elements() * copies[0].dtype.size, 1), 1)
    for start in range(0, count, step):
        rows = _array_from_chief(copies[0][start : start + step].numpy())
        # The chief has them already.
        for copy in copies if index else ():
            copy[start : start + step].assign(rows)


def broadcast_text(text: str) -> str:
    """The chief's text; that of the other workers may have another length."""
    index, workers = distribute.worker()
    if workers == 1:
        return text
    data = np.frombuffer(text.encode() if index == 0 else b"", np.uint8)
    size = int(_sum(np.array([len(data)], np.int64))[0])
    return _bytes_from_chief(data if index == 0 else np.zeros(size, np.uint8)).tobytes().decode()


def any_worker(flag: bool) -> bool:
    """Whether the flag is set on any worker."""
    return flag if distribute.worker_count() == 1 else bool(_sum(np.array([flag], np.int64))[0])


def gather_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows [n, m] of all workers, in the order of the workers."""
    return rows if distribute.worker_count() == 1 else _run(_gather, tf.constant(rows))


def _array_from_chief(array: NDArray) -> NDArray:
    """The chief's array, of the same shape as this worker's."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return _bytes_from_chief(data).view(array.dtype).reshape(array.shape)


def _bytes_from_chief(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sent as a sum of whole numbers, to which the other workers add zeros."""
    numbers = np.zeros(-(-len(data) // 8), np.int64)
    if distribute.worker_index() == 0:
        numbers.view(np.uint8)[: len(data)] = data
    return _sum(numbers).view(np.uint8)[: len(data)]


def _sum(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return _run(_add, tf.constant(x))


def _add(x: Any, is_first: Any) -> Any:
    return distribute.all_reduce_sum(x * tf.cast(is_first, x.dtype))


def _gather(x: Any, is_first: Any) -> Any:
    return distribute.all_gather(x[: tf.where(is_first, tf.shape(x)[0], 0)])


@tf.function(reduce_retracing=True)
def _on_all(operation: Any, x: Any) -> Any:
    group = distribute.replica_group()
    assert group is not None
    replicas = len(group.strategy.extended.worker_devices)

    def on_replica() -> Any:
        # One replica speaks for its worker.
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return operation(x, tf.equal(tf.cast(number, tf.int32) % replicas, 0))

    return group.strategy.experimental_local_results(group.strategy.run(on_replica))[0]


def _run(operation: Any, x: Any) -> NDArray:
    return _on_all(operation, x).numpy()
