"""The `.npy` columns of a dataset: what each must hold. Headers are checked on opening, values at first use.

Nothing in them is executed: objects are refused, and headers are not read by Python's parser.
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
from mailcli.errors import MailError

#: Values that are checked at a time (ours: some 30 MB, which do not stay in memory as those of a map would).
CHUNK = 1 << 22
#: Version 1.0 of NumPy's format, the one that is written here.
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[48]|U\d{1,6}))', 'fortran_order': False, "
    rb"'shape': \((\d{1,18}), ?(\d{1,18})?\), \} *\n"
)
_KINDS = {"i": "whole numbers", "u": "ids", "f": "numbers", "iU": "whole numbers or texts"}


class ColumnSpec(NamedTuple):
    """What a column must hold."""

    kinds: str
    """NumPy's letters for the types allowed, a key of _KINDS."""
    shape: tuple[int, ...]
    low: int | None = None
    """Smallest value allowed; None where any is."""
    high: int | None = None
    """The first value that is too large."""


class ColumnHeader(NamedTuple):
    """Where the values of a column are."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    def mapped(self) -> NDArray:
        """The values, memory-mapped for reading."""
        if 0 in self.shape:  # cannot be mapped
            return np.empty(self.shape, self.dtype)
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)

    def parts(self) -> Iterator[NDArray]:
        """The values, some rows at a time, read without a map."""
        width = int(np.prod(self.shape[1:]))
        step = max(1, CHUNK // max(width, 1))
        for start in range(0, self.shape[0], step):
            rows = min(step, self.shape[0] - start)
            place = self.offset + start * width * self.dtype.itemsize
            yield np.fromfile(self.path, self.dtype, rows * width, offset=place).reshape(rows, *self.shape[1:])


def checksum(values: NDArray, before: int | None = None) -> int:
    """CRC-32 of the name of an array's type and its bytes; `before` is that of the rows before."""
    start = zlib.crc32(values.dtype.str.encode()) if before is None else before
    return zlib.crc32(np.ascontiguousarray(values).tobytes(), start)


def expected_columns(
    schema: Schema, sizes: dict[str, int], unseen: dict[str, int], counts: dict[str, int]
) -> dict[str, ColumnSpec]:
    """What every column of a dataset must hold, by `table/name`."""

    def ids(field: Field, rows: int) -> ColumnSpec:
        # A place of a multi-valued field may be empty.
        shape, low = ((rows,), UNKNOWN) if field.values == 1 else ((rows, field.values), PADDING)
        return ColumnSpec("u", shape, low, sizes[field.vocabulary] + unseen[field.vocabulary])

    users, items, behaviors = counts["users"], counts["items"], counts["behaviors"]
    found = {
        "users/raw": ColumnSpec("iU", (users,)),
        "items/raw": ColumnSpec("iU", (items,)),
        "behaviors/action": ColumnSpec("u", (behaviors,), FIRST_ID, FIRST_ID + len(schema.actions)),
        "behaviors/time": ColumnSpec("i", (behaviors,)),
        "behaviors/offsets": ColumnSpec("i", (users + 1,), 0, behaviors + 1),
    }
    found |= {f"users/{field.name}": ids(field, users) for field in schema.group("attributes")}
    found |= {f"items/{field.name}": ids(field, items) for field in schema.group("target")}
    found |= {f"items/{name}": ColumnSpec("f", (items,)) for name in schema.dense}
    found |= {f"behaviors/{field.name}": ids(field, behaviors) for field in schema.group("behavior")}
    for split in SPLITS:
        rows = counts[split]
        found |= {
            f"{split}/user": ColumnSpec("i", (rows,), 0, users),
            f"{split}/item": ColumnSpec("i", (rows,), 0, items),
            f"{split}/time": ColumnSpec("i", (rows,)),
            f"{split}/history_end": ColumnSpec("i", (rows,), 0, behaviors + 1),
        }
        found |= {f"{split}/{name}": ColumnSpec("u", (rows,), 0, 2) for name in schema.labels}
        found |= {f"{split}/{field.name}": ids(field, rows) for field in schema.group("context")}
    found |= {f"vocabularies/{name}": ColumnSpec("iU", (size - FIRST_ID,)) for name, size in sizes.items()}
    found |= {f"unseen/{name}": ColumnSpec("iU", (size,)) for name, size in unseen.items()}
    return found


def damaged_column(path: Path, reason: str) -> MailError:
    """What to say of a column that is not as it was written."""
    return MailError(
        f"{path}: the column cannot be read ({reason}). The dataset is damaged: make it again with `mail preprocess`."
    )


def read_header(path: Path, expected: ColumnSpec) -> ColumnHeader:
    """The header of a column; MailError where type, rows or the file's size are not those that are expected."""
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
        raise damaged_column(path, "it does not begin as the columns do that `mail preprocess` writes")
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(number) for number in match.groups()[1:] if number is not None)
    if dtype.kind not in expected.kinds:
        raise damaged_column(path, f"it holds {dtype.name}, expected {_KINDS[expected.kinds]}")
    if shape != expected.shape:
        raise damaged_column(path, f"it has {_times(shape)} values, dataset.json says {_times(expected.shape)}")
    if size != offset + dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise damaged_column(path, f"its {_times(shape)} values of {dtype.name} do not fill its {size:,} bytes")
    return ColumnHeader(path, dtype, shape, offset)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{number:,}" for number in shape)


def check_values(header: ColumnHeader, expected: ColumnSpec, known: int) -> None:
    """Read a column once (MailError where a value cannot be, or the values are not those that were written).

    Args:
        header: of the column.
        expected: the same.
        known: the checksum of what was written.
    """
    found = checksum(np.empty(0, header.dtype))
    for part in header.parts():
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise damaged_column(header.path, "a value is not a finite number")
        if expected.low is not None and expected.high is not None:
            for value in (part.min(), part.max()):
                if not expected.low <= value < expected.high:
                    raise damaged_column(
                        header.path, f"it holds {value}, expected {expected.low:,} to {expected.high - 1:,}"
                    )
        found = checksum(part, found)
    if found != known:
        raise damaged_column(header.path, f"its values have the checksum {found}, dataset.json says {known}")


def check_offsets(header: ColumnHeader, behaviors: int) -> None:
    """Offsets ascend from 0 to the number of behaviors (MailError)."""
    offsets = header.mapped()
    if offsets[0] != 0 or offsets[-1] != behaviors or (offsets[1:] < offsets[:-1]).any():
        raise damaged_column(header.path, f"its values do not ascend from 0 to {behaviors:,}")


def check_history_ends(header: ColumnHeader, users: ColumnHeader, offsets: NDArray) -> None:
    """Each history ends within the behaviors of its impression's user (MailError); users and offsets are checked."""
    for ends, user in zip(header.parts(), users.parts(), strict=True):
        wrong = np.flatnonzero((ends < offsets[user]) | (ends > offsets[user + 1]))
        if len(wrong):
            first = wrong[0]
            raise damaged_column(
                header.path,
                f"it holds {ends[first]}, expected {offsets[user[first]]} to {offsets[user[first] + 1]} for that user",
            )
