"""Checkpoint files that are damaged, or were made to do harm."""

from __future__ import annotations

import io
import json
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.helpers.hostile import Trap, saved


class Variable:
    """Stands for a Keras variable, as far as checkpoints need one."""

    def __init__(self, values: NDArray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def assign(self, values: NDArray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return self.values


def state_of(**changes: Any) -> NDArray:
    """The training state in a checkpoint, as text."""
    valid = {"epoch": 1, "step": 2, "steps": 2, "history_bytes": 10, "best": {"best_epoch": 0}}
    return np.frombuffer(json.dumps({**valid, **changes}).encode(), np.uint8)


def checkpoint(changes: dict[str, Any] | None = None, compress: bool = False) -> bytes:
    """The bytes of a valid checkpoint with changed or additional arrays."""
    arrays = {"progress": state_of(), "0": np.ones((2, 3), np.float32), "1": np.ones(4, np.int64), **(changes or {})}
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


WRONG_STEPS: list[Any] = [-1, "1", 1.5, None, True, []]
#: Damaged or hostile checkpoint files.
BAD_CHECKPOINTS = {
    "empty": b"",
    "cut": checkpoint()[:-100],
    "no zip": b"x" * 500,
    "a bit": checkpoint().replace(np.ones(4, np.int64).tobytes(), np.arange(4, dtype=np.int64).tobytes()),
    "an array": saved(np.ones(3)),
    "a pickle": pickle.dumps(Trap()),
    "objects": checkpoint({"0": np.array([Trap()], object)}),
    "object progress": checkpoint({"progress": np.array(Trap(), object)}),
    "compressed": checkpoint(compress=True),
    "other shape": checkpoint({"0": np.ones((3, 2), np.float32)}),
    "other type": checkpoint({"0": np.ones((2, 3))}),
    "an array more": checkpoint({"2": np.ones(1)}),
    "another name": checkpoint({"../x": np.ones(1)}),
    **{
        f"{key} is {value!r}": checkpoint({"progress": state_of(**{key: value})})
        for key in ("epoch", "step", "steps", "history_bytes")
        for value in WRONG_STEPS
    },
    "history_bytes too many": checkpoint({"progress": state_of(history_bytes=10**30)}),
    **{
        f"best {number}": checkpoint({"progress": state_of(best=best)})
        for number, best in enumerate([None, {}, 5, {"best_epoch": -1}, {"best_epoch": 9}, {"best_epoch": 1}])
    },
    "a key more": checkpoint({"progress": state_of(more=1)}),
    "deep": checkpoint({"progress": np.frombuffer(b"[" * 100_000, np.uint8)}),
    "not utf-8": checkpoint({"progress": np.frombuffer(b"\xff\xfe", np.uint8)}),
}
