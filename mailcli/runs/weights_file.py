"""The checks of best.weights.h5 before Keras reads it: Keras would cast other types and accept infinite values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

#: Values read at a time (ours: about 16 MB).
_VALUES_PER_CHUNK = 1 << 22


def check_weights_file(path: Path, variables: Iterable[Any]) -> None:
    """ValueError unless all arrays of an HDF5 file have types of the variables, and finite values.

    Args:
        path: the file.
        variables: of the model.
    """
    import h5py

    types = {str(variable.dtype) for variable in variables}
    # Keras stores bfloat16 as whole numbers.
    types |= {"uint16"} if "bfloat16" in types else set()

    def check(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if str(item.dtype) not in types:
            raise ValueError(f"{name} holds {item.dtype}, expected {' or '.join(sorted(types))}")
        if item.external or item.is_virtual:
            raise ValueError(f"{name} refers to another file")
        if item.dtype.kind == "f" and not all(np.isfinite(chunk).all() for chunk in _chunks(item)):
            raise ValueError(f"{name} holds a value that is not finite")

    with h5py.File(path) as file:
        file.visititems(check)


def _chunks(array: Any) -> Iterable[Any]:
    """The values of an array on disk, some rows at a time: a table may be larger than the memory that is left."""
    if not array.ndim:
        return [array[()]]
    step = max(1, _VALUES_PER_CHUNK // max(int(np.prod(array.shape[1:])), 1))
    return (array[start : start + step] for start in range(0, array.shape[0], step))
