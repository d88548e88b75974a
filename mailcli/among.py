"""What the workers of a training tell one another besides their steps: variables, where the run stands, scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli import replicas

#: Numbers of 8 bytes that go in one message (ours: 32 MB).
_CHUNK = 1 << 22


def share(variables: Iterable[Any]) -> None:
    """Give every worker the bits of the chief's variables."""
    if replicas.worker()[1] == 1:
        return
    for variable in variables:
        value = np.asarray(variable)
        variable.assign(np.frombuffer(_from_chief(value.tobytes()), value.dtype).reshape(value.shape))


def tell(text: str) -> str:
    """The chief's text, which may be longer or shorter than this worker's."""
    index, workers = replicas.worker()
    if workers == 1:
        return text
    data = text.encode() if index == 0 else b""
    size = int(_sum(np.array([len(data)], np.int64))[0])
    return _from_chief(data or bytes(size)).decode()


def any_of(asked: bool) -> bool:
    """Whether any worker asks."""
    return asked if replicas.worker()[1] == 1 else bool(_sum(np.array([asked], np.int64))[0])


def gathered(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows [n, m] of all workers, one after the other."""
    return rows if replicas.worker()[1] == 1 else _run(_gather, tf.constant(rows))


def _from_chief(data: bytes) -> bytes:
    """Bits, as whole numbers to which the others add zeros."""
    padded = np.frombuffer(data + bytes(-len(data) % 8), np.int64)
    if replicas.worker()[0]:
        padded = np.zeros_like(padded)
    parts = [_sum(padded[start : start + _CHUNK]) for start in range(0, len(padded), _CHUNK)]
    return b"".join(part.tobytes() for part in parts)[: len(data)]


def _sum(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return _run(_add, tf.constant(x))


def _add(x: Any, first: Any) -> Any:
    return replicas.total(x * tf.cast(first, x.dtype))


def _gather(x: Any, first: Any) -> Any:
    return replicas.everyone(x[: tf.where(first, tf.shape(x)[0], 0)])


@tf.function(reduce_retracing=True)
def _on_all(what: Any, x: Any) -> Any:
    chosen = replicas.team()
    assert chosen is not None
    local = len(chosen.strategy.extended.worker_devices)

    def on_replica() -> Any:
        # One replica speaks for its worker.
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        return what(x, tf.equal(tf.cast(place, tf.int32) % local, 0))

    return chosen.strategy.experimental_local_results(chosen.strategy.run(on_replica))[0]


def _run(what: Any, x: Any) -> NDArray:
    return _on_all(what, x).numpy()
