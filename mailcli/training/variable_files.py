"""Variables in an uncompressed .npz file: an array each, named 0, 1, ... in order.

The zip format keeps a CRC-32 of each array, which is checked on reading. Nothing in the file is executed: no pickle.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.utils.files import write_atomically

#: What reading a damaged file may raise; the last three come from an array's header.
DAMAGE_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile),
    *(RecursionError, MemoryError, SyntaxError),
)


def save_variables(path: Path, variables: Sequence[Any], named: Mapping[str, NDArray] | None = None) -> None:
    """Write variables to a file, completely or not at all; `read_variables` reads them.

    Args:
        path: the file.
        variables: of Keras or TensorFlow.
        named: arrays that are written first, under these names.
    """
    with write_atomically(path) as partial_path, zipfile.ZipFile(partial_path, "w", allowZip64=True) as archive:
        for name, array in (named or {}).items():
            _write(archive, name, array)
        # One at a time: copying a whole table at once would need its memory again.
        for number, variable in enumerate(variables):
            _write(archive, str(number), np.asarray(variable))


def _write(archive: zipfile.ZipFile, name: str, array: NDArray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def read_variables(path: Path) -> list[Callable[[], NDArray]]:
    """A function for each variable that reads it: large tables are read one at a time.

    Raises:
        MailError: the file is damaged; the functions raise it, too.
    """

    def read(number: int) -> NDArray:
        try:
            with np.load(path, allow_pickle=False) as file:
                array: NDArray = file[str(number)]
        except DAMAGE_ERRORS as error:
            raise _damaged(path, error) from error
        return array

    try:
        check_stored(path)
        with zipfile.ZipFile(path) as archive:
            count = len(archive.namelist())
    except DAMAGE_ERRORS as error:
        raise _damaged(path, error) from error
    return [partial(read, number) for number in range(count)]


def _damaged(path: Path, error: Exception) -> MailError:
    return MailError(f"{path}: is damaged ({error}). Train the run again in another --runs folder.")


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
