"""A dataset on disk, opened for reading: dataset.json and one memory-mapped `.npy` column per field.

    <name>/dataset.json     format version, schema, how values were made, vocabulary sizes, counts, sources with SHA-256
    <name>/users/           one row per user: raw, and the ids of each attribute
    <name>/items/           one row per item: raw, the ids of each target field, dense features
    <name>/behaviors/       all behaviors sorted by user, then time: field ids, action, time; offsets [users + 1]
    <name>/{train,validation,test}/  one row per impression: user row, item row, context ids, click, time, history_end
    <name>/vocabularies/    raw values in the training split; the value at index i has id 2 + i
    <name>/unseen/          the other raw values, with the ids that follow; they are read as UNKNOWN
    <name>/*/NAME.texts.npy, NAME.ends.npy  instead of a NAME.npy of texts, where a few are long (data/texts.py)
    <name>/summary.md       what preprocessing found in the raw files; rejected/ holds the rows it could not use

Histories are not copied: each is the last n_v behaviors before `history_end` in its user's slice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.data.columns import (
    check_history_ends,
    check_offsets,
    check_values,
    damaged_column,
    expected_columns,
    read_header,
    text_columns,
)
from mailcli.data.derivations import RAW, Derivation, derivations_from_json
from mailcli.data.display_name import display_name
from mailcli.data.file_watch import FileWatch
from mailcli.data.manifest import CHECKSUMS, DERIVATIONS, UNSEEN, read_manifest
from mailcli.data.schema import SPLITS, UNKNOWN, Field, Group
from mailcli.data.texts import ENDS, TEXTS, decode_texts
from mailcli.errors import MailError, did_you_mean, quoted

MANIFEST = "dataset.json"
SUMMARY, REJECTED = "summary.md", "rejected"


class Dataset:
    """A finished dataset, opened for reading; columns are memory-mapped, and checked at first use."""

    def __init__(self, folder: Path) -> None:
        """Open a dataset.

        Raises:
            MailError: the folder is not a dataset, has another format version, or was changed: a key of dataset.json,
                or the type or length of a column.
        """
        self.folder = folder
        if not (folder / MANIFEST).is_file():
            raise MailError(f"{folder}: holds no {MANIFEST}, so it is not a dataset. Make one with `mail preprocess`.")
        self._watch = FileWatch()
        self._watch.add([folder / MANIFEST])
        self.manifest, self.schema = read_manifest(folder / MANIFEST)
        # The folder's name, so that a dataset can be renamed.
        self.name = folder.name
        self.vocabulary_sizes: dict[str, int] = self.manifest["vocabulary_sizes"]
        self.counts: dict[str, int] = self.manifest["counts"]
        self.history: int = self.manifest["history"]
        self.simulation: dict[str, Any] | None = self.manifest["simulation"]
        self.unseen: dict[str, int] = self.manifest[UNSEEN]
        self.keeps_derivations = DERIVATIONS in self.manifest
        self._derivations = derivations_from_json(self.manifest.get(DERIVATIONS, {}))
        self._expected = expected_columns(self.schema, self.vocabulary_sizes, self.unseen, self.counts)
        for key in list(self._expected):
            if f"{key}.{ENDS}" in self.manifest[CHECKSUMS]:
                self._expected |= text_columns(key, self._expected.pop(key))
        self._watch.add(folder / f"{key}.npy" for key in self._expected)
        # A file that looks damaged may be whole, and of another dataset that was made here since.
        with self.changes_reported():
            self._headers = {key: read_header(folder / f"{key}.npy", column) for key, column in self._expected.items()}
        self._columns: dict[str, NDArray] = {}
        self._lookups: dict[str, NDArray[np.int32]] = {}

    def __repr__(self) -> str:
        return f"Dataset({str(self.folder)!r})"

    def check_files(self) -> None:
        """Raise if a file of the dataset was changed since it was opened (MailError)."""
        self._watch.check()

    def changes_reported(self) -> AbstractContextManager[None]:
        """Within the block, an error is one of the dataset if its files were changed in the meantime (MailError)."""
        return self._watch.changes_reported()

    def check_all_values(self) -> None:
        """Read every column, and refuse values that are not those that were written (MailError)."""
        for key in self._headers:
            self._check_values(key)

    def _check_values(self, key: str) -> None:
        """Read a column once, and refuse values that are not those that were written (MailError)."""
        with self.changes_reported():
            check_values(self._headers[key], self._expected[key], self.manifest[CHECKSUMS].get(key, -1))

    def check_history(self, history: int) -> None:
        """Refuse a history that is longer than the dataset's (MailError)."""
        if history > self.history:
            raise MailError(
                f"history = {history}: the dataset '{self.name}' keeps the last {self.history} behaviors. "
                f"Expected {self.history} or less; more needs `mail preprocess --history {history}`."
            )

    def derivation(self, field: Field) -> Derivation:
        """How the values of a field were made from raw ones; RAW, too, if an older version did not record it."""
        return self._derivations.get(field.group, {}).get(field.name, RAW)

    def dense_derivation(self, name: str) -> Derivation:
        """What stands for a missing value of a number, before log(1 + x) and standardization."""
        return self._derivations.get("dense", {}).get(name, RAW)

    def column(self, table: str, name: str) -> NDArray:
        """One column, e.g. `column("users", "gender")`; multi-valued ones are [rows, values].

        Ids of values that the training split does not contain are read as UNKNOWN.

        Raises:
            MailError: a value is not allowed, or the values are not those that were written.
        """
        key = f"{table}/{name}"
        if key not in self._columns and f"{key}.{ENDS}" in self._headers:
            self._columns[key] = self._texts(table, name)
        if key not in self._columns:
            header = self._headers[key]
            self._check_values(key)
            if name == "history_end":
                self.column(table, "user")
                check_history_ends(header, self._headers[f"{table}/user"], self.offsets)
            elif key == "behaviors/offsets":
                check_offsets(header, self.counts["behaviors"])
            lookup = self._lookup(self._vocabulary[key]) if key in self._vocabulary else None
            self._columns[key] = header.mapped() if lookup is None else _translated(header.mapped(), lookup)
        return self._columns[key]

    def _texts(self, table: str, name: str) -> NDArray:
        """A text column as Python strings (MailError: its two files do not belong together)."""
        ends, utf8 = (Dataset.column(self, table, f"{name}.{ending}") for ending in (ENDS, TEXTS))
        try:
            return decode_texts(ends, utf8)
        except ValueError as error:
            raise damaged_column(self._headers[f"{table}/{name}.{ENDS}"].path, str(error)) from error

    @cached_property
    def _vocabulary(self) -> dict[str, str]:
        """The vocabulary of each id column, by `table/name`."""
        return {
            f"{table}/{field.name}": field.vocabulary
            for group, tables in _TABLES.items()
            for field in self.schema.group(group)
            for table in tables
        }

    def _lookup(self, vocabulary: str) -> NDArray[np.int32] | None:
        """[ids in the files], the id that each is read as; None if no id changes."""
        if not self.unseen[vocabulary]:
            return None
        if vocabulary not in self._lookups:
            known = np.arange(self.manifest["vocabulary_sizes"][vocabulary], dtype=np.int32)
            self._lookups[vocabulary] = np.r_[known, np.full(self.unseen[vocabulary], UNKNOWN, np.int32)]
        return self._lookups[vocabulary]

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """[users + 1]: the behaviors of user u are rows offsets[u] to offsets[u + 1]."""
        return self.column("behaviors", "offsets")

    def earlier_behaviors(self, split: str) -> NDArray[np.int64]:
        """[impressions], the number of its user's behaviors before each impression."""
        return self.column(split, "history_end") - self.offsets[self.column(split, "user")]

    @property
    def display_name(self) -> str:
        """The name, and whether the data is simulated, for tables."""
        return display_name(self.name, bool(self.simulation))


#: The tables that hold each group's fields.
_TABLES: dict[Group, tuple[str, ...]] = {
    "attributes": ("users",),
    "target": ("items",),
    "behavior": ("behaviors",),
    "context": SPLITS,
}


class _TranslatedIds:
    """An array of ids, translated when rows are read, because a column may be larger than the memory."""

    def __init__(self, ids: NDArray, lookup: NDArray[np.int32]) -> None:
        self._ids, self._lookup = ids, lookup
        self.shape, self.dtype = ids.shape, lookup.dtype

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, key: Any) -> NDArray[np.int32]:
        return self._lookup[self._ids[key]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        del copy
        return self[:].astype(dtype or self.dtype)


def _translated(ids: NDArray, lookup: NDArray[np.int32]) -> NDArray:
    """A _TranslatedIds, typed as an array."""
    translated: Any = _TranslatedIds(ids, lookup)
    return translated  # type: ignore[no-any-return]


def dataset_names(data_dir: Path) -> list[str]:
    """The names of the datasets in a data folder, sorted."""
    return sorted(path.parent.name for path in data_dir.glob(f"[!.]*/{MANIFEST}"))


def open_dataset(data_dir: Path, name: str) -> Dataset:
    """The dataset of that name; `last_used.open_chosen` is for commands that need not name one.

    It passes an empty name if there is no dataset.

    Raises:
        MailError: there is no such dataset.
    """
    known = dataset_names(data_dir)
    if not known and name:
        raise MailError(
            f"{data_dir}: holds no dataset, and '{name}' is needed. Make it with `mail preprocess`, or name its folder "
            "with --data-dir."
        )
    if not known:
        raise MailError(f"{data_dir}: holds no dataset yet. Make one with `mail preprocess ml-100k`.")
    if name not in known:
        raise MailError(f"unknown dataset '{name}'.{did_you_mean(name, known)} {data_dir} holds: {quoted(known)}.")
    return Dataset(data_dir / name)
