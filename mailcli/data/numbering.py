"""Reads a dataset with the ids of another one, so that a model trained on one day can continue on the next.

A dataset numbers the values in its own training split. A run that continues on the next day's dataset keeps the ids it
knows and gives new values the ids after them, so that no row of its embedding table changes its meaning.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, PADDING, UNKNOWN
from mailcli.data.texts import ENDS, TEXTS, decode_texts, encode_texts, is_text, join_texts
from mailcli.errors import MailError
from mailcli.utils.damage import NPZ_ERRORS
from mailcli.utils.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

#: The array in a numbering's file that holds the scale of dense features, as JSON in UTF-8.
_DENSE = "dense features"


class Numbering(NamedTuple):
    """Which raw value has which id, and how dense features are scaled."""

    values: dict[str, NDArray]
    """By vocabulary; the value at index i has id FIRST_ID + i."""
    dense: dict[str, dict[str, float]]
    """By dense feature: `log1p_mean` and `log1p_std`."""

    @property
    def sizes(self) -> dict[str, int]:
        """The number of ids of each vocabulary, including PADDING and UNKNOWN."""
        return {name: FIRST_ID + len(values) for name, values in self.values.items()}


def current_numbering(dataset: Dataset) -> Numbering:
    """The numbering that a dataset is read with."""
    return dataset.numbering if isinstance(dataset, RenumberedDataset) else _own_numbering(dataset)


def _own_numbering(dataset: Dataset) -> Numbering:
    """The numbering in the dataset's files, even if it is read with another one."""
    values = {name: np.asarray(Dataset.column(dataset, "vocabularies", name)) for name in dataset.schema.vocabularies()}
    return Numbering(values, dataset.manifest["dense"])


def missing_number(dataset: Dataset, name: str) -> np.float32:
    """What a missing value of a dense feature is read as: the mean of the dataset's own training impressions."""
    own, scale = dataset.manifest["dense"][name], current_numbering(dataset).dense[name]
    return np.float32(0) if own == scale else _rescaled(np.zeros(1), own, scale)[0]


def _rescaled(values: NDArray, own: dict[str, float], scale: dict[str, float]) -> NDArray[np.float32]:
    """Standardized values of a dense feature, on another scale than their own."""
    unscaled = values.astype(np.float64) * own["log1p_std"] + own["log1p_mean"]
    return ((unscaled - scale["log1p_mean"]) / scale["log1p_std"]).astype(np.float32)


def extend_numbering(known: Numbering, dataset: Dataset) -> Numbering:
    """A numbering with the known ids, then the dataset's new values in ascending order; the scale stays the known one.

    Raises:
        MailError: the values of a vocabulary have another type.
    """
    values = {}
    for name, new in _own_numbering(dataset).values.items():
        old = known.values[name]
        if is_text(old) != is_text(new) and len(old) and len(new):
            raise MailError(
                f"{dataset.folder}: the values of '{name}' are {_kind(new)}, those of the previous day {_kind(old)}. "
                "Expected a later part of the same log."
            )
        values[name] = _joined(old, new[_index(old).get_indexer(_index(new)) < 0]) if len(new) else old
    return Numbering(values, known.dense)


def _kind(values: NDArray) -> str:
    return "strings" if is_text(values) else "whole numbers"


def _joined(first: NDArray, second: NDArray) -> NDArray:
    return join_texts(first, second) if is_text(first) and is_text(second) else np.concatenate([first, second])


def _index(values: NDArray) -> pd.Index:
    # Only here, because importing it takes half a second.
    import pandas as pd

    return pd.Index(values.astype(object) if is_text(values) else values)


class RenumberedDataset(Dataset):
    """A dataset read with the ids of a numbering, UNKNOWN for values that it lacks. The files stay unchanged.

    A value has the numbering's id in every split, even if the dataset's own training split does not contain it.

    Args:
        folder: the dataset's folder.
        numbering: a numbering of the same vocabularies.
    """

    def __init__(self, folder: Path, numbering: Numbering) -> None:
        super().__init__(folder)
        self.numbering = numbering
        own = _own_numbering(self)
        for name, values in own.values.items():
            # The numbering may know values that this dataset's training split does not contain.
            unseen = Dataset.column(self, "unseen", name)
            all_values = _joined(values, unseen) if len(unseen) else values
            # get_indexer returns -1 for missing values, and FIRST_ID - 1 is UNKNOWN.
            ids = _index(numbering.values[name]).get_indexer(_index(all_values)) + FIRST_ID
            self._lookups[name] = np.r_[PADDING, UNKNOWN, ids].astype(np.int32)
        self._own_dense = own.dense
        # Computed once: every batch asks for the whole column.
        self._rescaled: dict[str, NDArray[np.float32]] = {}
        self.vocabulary_sizes = numbering.sizes

    def _lookup(self, vocabulary: str) -> NDArray[np.int32]:
        """[ids in the files], the numbering's id of each."""
        return self._lookups[vocabulary]

    def column(self, table: str, name: str) -> NDArray:
        """As `Dataset.column`, but with the numbering's ids, vocabularies and scale."""
        if table == "vocabularies":
            return self.numbering.values[name]
        column = super().column(table, name)
        if table == "items" and name in self.schema.dense:
            scale, own_scale = self.numbering.dense[name], self._own_dense[name]
            if scale == own_scale:
                return column
            if name not in self._rescaled:
                self._rescaled[name] = _rescaled(column, own_scale, scale)
                self._rescaled[name].setflags(write=False)
            return self._rescaled[name]
        return column


def save_numbering(path: Path, numbering: Numbering) -> None:
    """Save a numbering; equal numberings give equal bytes."""
    with write_atomically(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        arrays = {_DENSE: np.frombuffer(json.dumps(numbering.dense).encode(), np.uint8), **_parts(numbering.values)}
        for name, array in arrays.items():
            # ZipInfo's default date, so that the bytes do not depend on the time.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _parts(values: dict[str, NDArray]) -> dict[str, NDArray]:
    """The arrays of a numbering's file: two for Python strings (data/texts.py), one for all others."""
    parts: dict[str, NDArray] = {}
    for name, array in values.items():
        if array.dtype == object:
            parts[f"{name}.{ENDS}"], parts[f"{name}.{TEXTS}"] = encode_texts(array)
        else:
            parts[name] = array
    return parts


def _whole(parts: dict[str, NDArray]) -> dict[str, NDArray]:
    """What `_parts` was made of, in the same order."""
    values = {}
    for name, array in parts.items():
        if name.endswith(f".{ENDS}"):
            name = name.removesuffix(f".{ENDS}")
            values[name] = decode_texts(array, parts[f"{name}.{TEXTS}"])
        elif not name.endswith(f".{TEXTS}"):
            values[name] = array
    return values


def load_numbering(path: Path, checksum: Any) -> Numbering:
    """Load a numbering (MailError if its `numbering_sha256` is another one)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            dense = json.loads(file[_DENSE].tobytes().decode())
            numbering = Numbering(_whole({name: file[name] for name in file.files if name != _DENSE}), dense)
    except NPZ_ERRORS:
        numbering = None
    if numbering is None or numbering_sha256(numbering) != checksum:
        raise MailError(
            f"{path}: is missing or was changed. Delete the run's folder and repeat the command that made it."
        )
    return numbering


def numbering_sha256(numbering: Numbering) -> str:
    """SHA-256 of the values, their order and the scale."""
    digest = hashlib.sha256(json.dumps(numbering.dense).encode())
    for name, values in _parts(numbering.values).items():
        digest.update(f"{name} {values.dtype.str} {len(values)}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
