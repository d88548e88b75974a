"""Variables in an uncompressed .npz file: an array each, named 0, 1, ... in order.

The zip format keeps a CRC-32 of each array, which is checked on reading. Nothing in the file is executed: no pickle.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.utils.damage import DAMAGE_ERRORS
from mailcli.utils.files import write_atomically


def save_variables(path: Path, variables: Sequence[Any], named: Mapping[str, NDArray] | None = None) -> None:
    """Write variables to a file, completely or not at all; `open_variables` reads them.

    Args:
        path: the file.
        variables: of Keras or TensorFlow.
        named: arrays that are written first, under these names.
    """
    with write_atomically(path) as partial_path, zipfile.ZipFile(partial_path, "w", allowZip64=True) as archive:
        for name, array in (named or {}).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        for number, variable in enumerate(variables):
            _write(archive, str(number), variable)


def _write(archive: zipfile.ZipFile, name: str, variable: Any) -> None:
    """In parts: copying a whole table at once would need its memory again."""
    # Imported late, as TensorFlow is: commands that only list runs do without it.
    from mailcli.models.table.rows import read_parts

    descr = np.lib.format.dtype_to_descr(np.dtype(str(variable.dtype)))
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        header = {"descr": descr, "fortran_order": False, "shape": tuple(variable.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in read_parts(variable):
            file.write(part.tobytes())


class StoredVariable(NamedTuple):
    """A variable in an .npz file."""

    shape: tuple[int, ...]
    dtype: str
    parts: Iterator[NDArray]
    """Its rows, some at a time; all of it at once if it has no axes. Reading to the end checks the CRC-32."""


def stored_variable(archive: zipfile.ZipFile, number: int) -> StoredVariable:
    """A variable in an .npz file, whose parts are read one after the other.

    Raises:
        One of DAMAGE_ERRORS; reading the parts raises them, too.
    """
    from mailcli.models.table.rows import parts

    file = archive.open(f"{number}.npy")
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it has an array of another version")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran_order or dtype.hasobject:
        raise ValueError("it has an array of another kind")
    # Before anything is read: a damaged header may give any shape.
    if file.tell() + math.prod(shape) * dtype.itemsize != archive.getinfo(file.name).file_size:
        raise ValueError("it has an array of another length than its shape")

    def read() -> Iterator[NDArray]:
        with file:
            for part in ((len(rows), *shape[1:]) for rows in parts(shape, dtype.itemsize)) if shape else [()]:
                content = file.read(math.prod(part) * dtype.itemsize)
                yield np.frombuffer(content, dtype).reshape(part)
            # The CRC-32 is checked at the end.
            file.read(1)

    return StoredVariable(shape, str(dtype), read())


@contextmanager
def open_variables(path: Path) -> Iterator[list[StoredVariable]]:
    """The variables that `save_variables` wrote (MailError if the file is damaged, here and inside the block)."""
    with _damage_reported(path):
        check_stored(path)
        archive = zipfile.ZipFile(path)
    with archive:
        with _damage_reported(path):
            variables = [stored_variable(archive, number) for number in range(len(archive.namelist()))]
        yield [variable._replace(parts=_read(path, variable.parts)) for variable in variables]


def _read(path: Path, parts: Iterator[NDArray]) -> Iterator[NDArray]:
    with _damage_reported(path):
        yield from parts


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE_ERRORS as error:
        raise MailError(f"{path}: is damaged ({error}). {TRAIN_AGAIN}") from error


def check_stored(path: Path) -> None:
    """ValueError unless the file is a regular one and uncompressed: then no array is larger than the file."""
    if not path.is_file():
        raise ValueError("it is not a file")
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in archive.infolist()):
            raise ValueError("it is compressed or encrypted")


def shape_and_dtype(array: Any) -> tuple[tuple[int, ...], str]:
    """Of an array or variable, in a form that can be compared."""
    return tuple(array.shape), str(array.dtype)
