"""A dataset read with the ids of another: what lets a table that was trained on one day go on with the next.

A dataset numbers the values that its own training split shows. A run continued on the next day's dataset keeps the ids
that it knows in their places and puts the new values behind them, so that no row of its table changes its meaning.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, PADDING, UNKNOWN
from mailcli.errors import MailError
from mailcli.utils.files import write_atomically

#: The array of a numbering's file that holds the scale of dense features, as JSON in UTF-8.
_DENSE = "dense features"
#: What reading a damaged file may raise.
_DAMAGES = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, MemoryError, SyntaxError)
_KINDS = {"i": "whole numbers", "U": "texts"}


class Numbering(NamedTuple):
    """Which raw value has which id, and how dense features are scaled."""

    values: dict[str, NDArray]
    """By vocabulary; the value at place i has id FIRST_ID + i."""
    dense: dict[str, dict[str, float]]
    """By dense feature, `log1p_mean` and `log1p_std`."""

    @property
    def sizes(self) -> dict[str, int]:
        """Ids of each vocabulary, padding and unknown included."""
        return {name: FIRST_ID + len(values) for name, values in self.values.items()}


def current_numbering(dataset: Dataset) -> Numbering:
    """The ids that a dataset is read with."""
    return dataset.numbering if isinstance(dataset, RenumberedDataset) else _own(dataset)


def _own(dataset: Dataset) -> Numbering:
    # The dataset's own, of a renumbered one too.
    values = {name: np.asarray(Dataset.column(dataset, "vocabularies", name)) for name in dataset.schema.vocabularies()}
    return Numbering(values, dataset.manifest["dense"])


def extend_numbering(known: Numbering, dataset: Dataset) -> Numbering:
    """The known ids in their places, then the values that the dataset has besides, ascending; the known scale.

    Raises:
        MailError: a vocabulary's values are of another type.
    """
    values = {}
    for name, new in _own(dataset).values.items():
        old = known.values[name]
        if old.dtype.kind != new.dtype.kind and len(old) and len(new):
            raise MailError(
                f"{dataset.folder}: the values of '{name}' are {_KINDS[new.dtype.kind]}, those of the day before "
                f"{_KINDS[old.dtype.kind]}. Expected the same log, later."
            )
        values[name] = np.concatenate([old, new[_index(old).get_indexer(_index(new)) < 0]]) if len(new) else old
    return Numbering(values, known.dense)


def _index(values: NDArray) -> pd.Index:
    return pd.Index(values.astype(object) if values.dtype.kind == "U" else values)


class RenumberedDataset(Dataset):
    """A dataset whose columns hold the ids of a numbering, UNKNOWN for values that it lacks; its files are unchanged.

    A value has the numbering's id wherever it is, also where the dataset's own training does not show it.

    Args:
        folder: of the dataset.
        numbering: of the same vocabularies.
    """

    def __init__(self, folder: Path, numbering: Numbering) -> None:
        super().__init__(folder)
        self.numbering = numbering
        own = _own(self)
        for name, values in own.values.items():
            # What this dataset's training does not show, the numbering may know.
            unseen = Dataset.column(self, "unseen", name)
            every = np.concatenate([values, unseen]) if len(unseen) else values
            # get_indexer says -1 for what it lacks, and FIRST_ID - 1 is UNKNOWN.
            found = _index(numbering.values[name]).get_indexer(_index(every)) + FIRST_ID
            self._lookups[name] = np.r_[PADDING, UNKNOWN, found].astype(np.int32)
        self._own_dense = own.dense
        self.vocabulary_sizes = numbering.sizes

    def _lookup(self, vocabulary: str) -> NDArray[np.int32]:
        """[ids of the files], the numbering's id for each."""
        return self._lookups[vocabulary]

    def column(self, table: str, name: str) -> NDArray:
        """One column, as `Dataset.column` gives it, with the numbering's ids, vocabularies and scale."""
        if table == "vocabularies":
            return self.numbering.values[name]
        found = super().column(table, name)
        if table == "items" and name in self.schema.dense:
            old, own = self.numbering.dense[name], self._own_dense[name]
            if old == own:
                return found
            plain = found.astype(np.float64) * own["log1p_std"] + own["log1p_mean"]
            return ((plain - old["log1p_mean"]) / old["log1p_std"]).astype(np.float32)
        return found


def save_numbering(path: Path, numbering: Numbering) -> None:
    """Write a numbering; the same one gives the same bytes."""
    with write_atomically(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        arrays = {_DENSE: np.frombuffer(json.dumps(numbering.dense).encode(), np.uint8), **numbering.values}
        for name, array in arrays.items():
            # With the date that ZipInfo has by itself.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def load_numbering(path: Path, checksum: Any) -> Numbering:
    """Read a numbering (MailError where it is not the one of that `numbering_sha256`)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            dense = json.loads(file[_DENSE].tobytes().decode())
            found = Numbering({name: file[name] for name in file.files if name != _DENSE}, dense)
    except _DAMAGES:
        found = None
    if found is None or numbering_sha256(found) != checksum:
        raise MailError(
            f"{path}: is missing or was changed. Delete the run's folder and give its `mail train` command again."
        )
    return found


def numbering_sha256(numbering: Numbering) -> str:
    """A SHA-256 of the values, their order and the scale."""
    found = hashlib.sha256(json.dumps(numbering.dense).encode())
    for name, values in numbering.values.items():
        found.update(f"{name} {values.dtype.str} {len(values)}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
