"""The `.npy` columns of a dataset and their checks: headers when a dataset is opened, values at first use.

Nothing in the files is executed: pickled objects are refused, and headers are not evaluated as Python code.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID, PADDING, SPLITS, UNKNOWN, Field, Schema
from mailcli.data.texts import ENDS, TEXTS
from mailcli.errors import MailError

#: Values checked at a time (ours: about 30 MB, which are freed, unlike the pages of a memory map).
VALUES_PER_CHUNK = 1 << 22
#: Version 1.0 of NumPy's format, the only one that `mail` writes.
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[48]|U\d{1,6}))', 'fortran_order': False, "
    rb"'shape': \((\d{1,18}), ?(\d{1,18})?\), \} *\n"
)
_KINDS = {"i": "whole numbers", "u": "ids", "f": "numbers", "iU": "whole numbers or strings"}


class ColumnSpec(NamedTuple):
    """What a column must hold."""

    kinds: str
    """NumPy's letters of the allowed types, a key of _KINDS."""
    shape: tuple[int, ...] | None
    """None if any number of values is allowed."""
    low: int | None = None
    """The smallest allowed value; None if any value is allowed."""
    high: int | None = None
    """The largest allowed value + 1."""


class ColumnHeader(NamedTuple):
    """The header of a column's file: type, shape, and where the values start."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    def mapped(self) -> NDArray:
        """The values, memory-mapped for reading."""
        if 0 in self.shape:  # an empty file cannot be mapped
            return np.empty(self.shape, self.dtype)
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)

    def chunks(self) -> Iterator[NDArray]:
        """The values, some rows at a time, read without a memory map."""
        width = int(np.prod(self.shape[1:]))
        step = max(1, VALUES_PER_CHUNK // max(width, 1))
        for start in range(0, self.shape[0], step):
            rows = min(step, self.shape[0] - start)
            offset = self.offset + start * width * self.dtype.itemsize
            values = np.fromfile(self.path, self.dtype, rows * width, offset=offset)
            if values.size != rows * width:
                raise damaged_column(self.path, "it ends too early")
            yield values.reshape(rows, *self.shape[1:])


def checksum(values: NDArray, before: int | None = None) -> int:
    """CRC-32 of an array's type and bytes; `before` is the checksum of the preceding rows."""
    start = zlib.crc32(values.dtype.str.encode()) if before is None else before
    return zlib.crc32(np.ascontiguousarray(values).tobytes(), start)


def expected_columns(
    schema: Schema, sizes: dict[str, int], unseen: dict[str, int], counts: dict[str, int]
) -> dict[str, ColumnSpec]:
    """What each column of a dataset must hold, by `table/name`."""

    def ids(field: Field, rows: int) -> ColumnSpec:
        # A multi-valued field may have empty places.
        shape, low = ((rows,), UNKNOWN) if field.values == 1 else ((rows, field.values), PADDING)
        return ColumnSpec("u", shape, low, sizes[field.vocabulary] + unseen[field.vocabulary])

    users, items, behaviors = counts["users"], counts["items"], counts["behaviors"]
    specs = {
        "users/raw": ColumnSpec("iU", (users,)),
        "items/raw": ColumnSpec("iU", (items,)),
        "behaviors/action": ColumnSpec("u", (behaviors,), FIRST_ID, FIRST_ID + len(schema.actions)),
        "behaviors/time": ColumnSpec("i", (behaviors,)),
        "behaviors/offsets": ColumnSpec("i", (users + 1,), 0, behaviors + 1),
    }
    specs |= {f"users/{field.name}": ids(field, users) for field in schema.group("attributes")}
    specs |= {f"items/{field.name}": ids(field, items) for field in schema.group("target")}
    specs |= {f"items/{name}": ColumnSpec("f", (items,)) for name in schema.dense}
    specs |= {f"behaviors/{field.name}": ids(field, behaviors) for field in schema.group("behavior")}
    for split in SPLITS:
        rows = counts[split]
        specs |= {
            f"{split}/user": ColumnSpec("i", (rows,), 0, users),
            f"{split}/item": ColumnSpec("i", (rows,), 0, items),
            f"{split}/time": ColumnSpec("i", (rows,)),
            f"{split}/history_end": ColumnSpec("i", (rows,), 0, behaviors + 1),
        }
        specs |= {f"{split}/{name}": ColumnSpec("u", (rows,), 0, 2) for name in schema.labels}
        specs |= {f"{split}/{field.name}": ids(field, rows) for field in schema.group("context")}
    specs |= {f"vocabularies/{name}": ColumnSpec("iU", (size - FIRST_ID,)) for name, size in sizes.items()}
    specs |= {f"unseen/{name}": ColumnSpec("iU", (size,)) for name, size in unseen.items()}
    return specs


def text_columns(key: str, expected: ColumnSpec) -> dict[str, ColumnSpec]:
    """What the two files of a text column must hold (data/texts.py).

    Args:
        key: `table/name` of the column.
        expected: what it must hold.
    """
    return {f"{key}.{ENDS}": ColumnSpec("i", expected.shape), f"{key}.{TEXTS}": ColumnSpec("u", None)}


def damaged_column(path: Path, reason: str) -> MailError:
    """The error for a column that is not as it was written."""
    return MailError(
        f"{path}: the column cannot be read ({reason}). The dataset is damaged: make it again with `mail preprocess`."
    )


def read_header(path: Path, expected: ColumnSpec) -> ColumnHeader:
    """The header of a column (MailError if type, shape or file size are not as expected)."""
    try:
        if not path.is_file():
            raise damaged_column(path, "there is no such file")
        with open(path, "rb") as file:
            start = file.read(len(_MAGIC) + 2)
            text = file.read(int.from_bytes(start[-2:], "little"))
            offset, size = file.tell(), path.stat().st_size
    except OSError as error:
        raise damaged_column(path, error.strerror or str(error)) from error
    match = _HEADER.fullmatch(text) if start.startswith(_MAGIC) else None
    if not match:
        raise damaged_column(path, "it does not start like a column that `mail preprocess` writes")
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(number) for number in match.groups()[1:] if number is not None)
    if dtype.kind not in expected.kinds:
        raise damaged_column(path, f"it holds {dtype.name}, expected {_KINDS[expected.kinds]}")
    if len(shape) != 1 if expected.shape is None else shape != expected.shape:
        wanted = "expected one axis" if expected.shape is None else f"dataset.json says {_times(expected.shape)}"
        raise damaged_column(path, f"it has {_times(shape)} values, {wanted}")
    if size != offset + dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise damaged_column(path, f"its {_times(shape)} values of {dtype.name} do not fill its {size:,} bytes")
    return ColumnHeader(path, dtype, shape, offset)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{number:,}" for number in shape)


def check_values(header: ColumnHeader, expected: ColumnSpec, written: int) -> None:
    """Read a column once (MailError if a value is not allowed, or the values are not those that were written).

    Args:
        header: the column's header.
        expected: what the column must hold.
        written: the checksum of the values that were written.
    """
    actual = checksum(np.empty(0, header.dtype))
    for chunk in header.chunks():
        if chunk.dtype.kind == "f" and not np.isfinite(chunk).all():
            raise damaged_column(header.path, "a value is not a finite number")
        if expected.low is not None and expected.high is not None:
            for value in (chunk.min(), chunk.max()):
                if not expected.low <= value < expected.high:
                    raise damaged_column(
                        header.path, f"it holds {value}, expected {expected.low:,} to {expected.high - 1:,}"
                    )
        actual = checksum(chunk, actual)
    if actual != written:
        raise damaged_column(header.path, f"its values have the checksum {actual}, dataset.json says {written}")


def check_offsets(header: ColumnHeader, behaviors: int) -> None:
    """Check that offsets ascend from 0 to the number of behaviors (MailError)."""
    offsets = header.mapped()
    if offsets[0] != 0 or offsets[-1] != behaviors or (offsets[1:] < offsets[:-1]).any():
        raise damaged_column(header.path, f"its values do not ascend from 0 to {behaviors:,}")


def check_history_ends(header: ColumnHeader, users: ColumnHeader, offsets: NDArray) -> None:
    """Check that each history ends within its user's behaviors (MailError). Users and offsets are checked before."""
    for ends, user in zip(header.chunks(), users.chunks(), strict=True):
        wrong = np.flatnonzero((ends < offsets[user]) | (ends > offsets[user + 1]))
        if len(wrong):
            first = wrong[0]
            raise damaged_column(
                header.path,
                f"it holds {ends[first]}, expected {offsets[user[first]]} to {offsets[user[first] + 1]} for that user",
            )
