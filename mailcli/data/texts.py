"""Columns of text: fixed-width, or where one long text would make every row long, with offsets.

A text column of the second kind has two files: `NAME.texts.npy`, all texts as UTF-8, one after the other, and
`NAME.ends.npy`, where each of them ends. In memory it is an array of Python strings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: Endings of the two files of a text column, before `.npy`; names of columns contain no dot.
TEXTS, ENDS = "texts", "ends"
#: Fixed-width texts may take so many times the characters that they hold, and so many more (ours: 64 kB).
_WASTE, _SMALL = 4, 1 << 14


def is_text(values: NDArray) -> bool:
    """Whether an array holds texts, fixed-width or as Python strings."""
    return values.dtype.kind in "UO"


def text_array(texts: pa.Array | Sequence[str], width: int = 0) -> NDArray:
    """Texts as a fixed-width array, or as Python strings where that would waste memory.

    Args:
        texts: none of them is null.
        width: the least width in characters.
    """
    column = pa.array(texts, pa.large_string()) if not isinstance(texts, pa.Array) else texts
    lengths = pc.utf8_length(column)
    width = max(width, pc.max(lengths).as_py() or 1)
    if width * len(column) > _WASTE * (pc.sum(lengths).as_py() or 0) + _SMALL:
        return column.to_numpy(zero_copy_only=False)
    return np.array(column.to_pylist(), f"<U{width}")


def join_texts(first: NDArray, second: NDArray) -> NDArray:
    """The texts of both arrays, which are fixed-width or Python strings."""
    width = max((values.itemsize // 4 for values in (first, second) if values.dtype.kind == "U"), default=0)
    return text_array([*first.tolist(), *second.tolist()], width)


def encode_texts(texts: NDArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(ends, UTF-8) of an array of Python strings: the second holds all texts, the first where each of them ends."""
    _, offsets, utf8 = pa.array(texts, pa.large_string()).buffers()
    ends = np.frombuffer(offsets, np.int64)[1 : len(texts) + 1]
    return ends, np.frombuffer(utf8, np.uint8)[: ends[-1] if len(ends) else 0]


def decode_texts(ends: NDArray[np.int64], utf8: NDArray[np.uint8]) -> NDArray:
    """The texts of `encode_texts` (ValueError: `ends` does not fit `utf8`)."""
    if (ends[-1] if len(ends) else 0) != len(utf8) or (np.diff(ends, prepend=0) < 0).any():
        raise ValueError(f"its ends do not ascend to {len(utf8):,}")
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    texts = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(utf8)))
    texts.validate(full=True)
    return texts.to_numpy(zero_copy_only=False)
