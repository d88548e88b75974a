"""What the workers of a training tell one another besides their steps: variables, where the run stands, scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models import distribute

#: Bytes that go in one message (ours); what a message takes in memory is some times as much.
_CHUNK = 1 << 23


def share(variables: Iterable[Any]) -> None:
    """Give every worker the bits of the chief's variables, which need no second copy in memory."""
    if distribute.worker_count() == 1:
        return
    for variable in variables:
        _share(variable)


def _share(variable: Any) -> None:
    """Some rows at a time: a table may be half of what a machine holds."""
    index, _ = distribute.worker()
    copies = _copies(variable)
    if not copies[0].shape.rank:
        rows = _array_from_chief(np.asarray(copies[0]))
        for copy in copies if index else ():
            copy.assign(rows)
        return
    count = copies[0].shape[0]
    step = max(_CHUNK * count // max(copies[0].shape.num_elements() * copies[0].dtype.size, 1), 1)
    for start in range(0, count, step):
        rows = _array_from_chief(copies[0][start : start + step].numpy())
        # The chief has them.
        for copy in copies if index else ():
            copy[start : start + step].assign(rows)


def _copies(variable: Any) -> Sequence[Any]:
    """The variable of each replica of this worker, of one of Keras."""
    chosen = distribute.replica_group()
    assert chosen is not None
    copies: Sequence[Any] = chosen.strategy.experimental_local_results(variable.value)
    return copies


def tell(text: str) -> str:
    """The chief's text, which may be longer or shorter than this worker's."""
    index, workers = distribute.worker()
    if workers == 1:
        return text
    data = np.frombuffer(text.encode() if index == 0 else b"", np.uint8)
    size = int(_sum(np.array([len(data)], np.int64))[0])
    return _from_chief(data if index == 0 else np.zeros(size, np.uint8)).tobytes().decode()


def any_of(asked: bool) -> bool:
    """Whether any worker asks."""
    return asked if distribute.worker_count() == 1 else bool(_sum(np.array([asked], np.int64))[0])


def gathered(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows [n, m] of all workers, one after the other."""
    return rows if distribute.worker_count() == 1 else _run(_gather, tf.constant(rows))


def _array_from_chief(array: NDArray) -> NDArray:
    """The chief's, of an array that is as large as this worker's."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return _from_chief(data).view(array.dtype).reshape(array.shape)


def _from_chief(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bits, as whole numbers to which the others add zeros."""
    numbers = np.zeros(-(-len(data) // 8), np.int64)
    if distribute.worker_index() == 0:
        numbers.view(np.uint8)[: len(data)] = data
    return _sum(numbers).view(np.uint8)[: len(data)]


def _sum(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return _run(_add, tf.constant(x))


def _add(x: Any, first: Any) -> Any:
    return distribute.all_reduce_sum(x * tf.cast(first, x.dtype))


def _gather(x: Any, first: Any) -> Any:
    return distribute.all_gather(x[: tf.where(first, tf.shape(x)[0], 0)])


@tf.function(reduce_retracing=True)
def _on_all(what: Any, x: Any) -> Any:
    chosen = distribute.replica_group()
    assert chosen is not None
    local = len(chosen.strategy.extended.worker_devices)

    def on_replica() -> Any:
        # One replica speaks for its worker.
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        return what(x, tf.equal(tf.cast(place, tf.int32) % local, 0))

    return chosen.strategy.experimental_local_results(chosen.strategy.run(on_replica))[0]


def _run(what: Any, x: Any) -> NDArray:
    return _on_all(what, x).numpy()
