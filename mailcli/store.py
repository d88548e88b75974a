"""The dataset store on disk: dataset.json and one memory-mapped `.npy` column per field.

    <name>/dataset.json     format version, schema, vocabulary sizes, counts, sources with size and SHA-256
    <name>/users/           one row per user: raw, and the ids of each attribute
    <name>/items/           one row per item: raw, the ids of each target field, dense features
    <name>/behaviors/       all behaviours sorted by user, then time: field ids, action, time; offsets [users + 1]
    <name>/{train,validation,test}/  one row per impression: user row, item row, context ids, click, time, history_end
    <name>/vocabularies/    raw values; the value at index i has id 2 + i
    <name>/summary.md       what preprocessing found in the raw files; rejected/ has the rows it could not use

A history is never copied: it is the last n_v behaviours before `history_end` in its user's slice.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mailcli.columns import check_history_ends, check_offsets, check_values, checksum, expected_columns, read_header
from mailcli.errors import MailError, choices, nearest
from mailcli.files import Lock
from mailcli.manifest import CHECKSUMS, FORMAT, read_json, read_manifest, seal
from mailcli.schema import SPLITS
from mailcli.stages import Stages

#: Free bytes below which a failed write means a full disk (ours: one block of a file system).
FULL = 1 << 16
_MANIFEST = "dataset.json"
SUMMARY, REJECTED = "summary.md", "rejected"
_ENTRIES = {_MANIFEST, SUMMARY, REJECTED, "users", "items", "behaviors", "vocabularies", *SPLITS}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Store:
    """A finished store, opened for reading; columns are memory-mapped and checked when first asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a store.

        Raises:
            MailError: there is no store, it is not ours, it has another format version, or it was changed: a key of
                dataset.json, or the type or length of a column.
        """
        self.folder = folder
        if not (folder / _MANIFEST).is_file():
            raise MailError(
                f"{folder}: holds no {_MANIFEST}, so it is not a dataset store. Make one with `mail preprocess`."
            )
        self.manifest, self.schema = read_manifest(folder / _MANIFEST)
        # The folder's, so that a store may be renamed.
        self.name = folder.name
        self.vocabulary_sizes: dict[str, int] = self.manifest["vocabulary_sizes"]
        self.counts: dict[str, int] = self.manifest["counts"]
        self.history: int = self.manifest["history"]
        self.simulation: dict[str, Any] | None = self.manifest["simulation"]
        self._expected = expected_columns(self.schema, self.vocabulary_sizes, self.counts)
        self._headers = {key: read_header(folder / f"{key}.npy", column) for key, column in self._expected.items()}
        self._columns: dict[str, NDArray] = {}

    def column(self, table: str, name: str) -> NDArray:
        """One column, e.g. `column("users", "gender")`; multi-valued ones are [rows, values].

        Raises:
            MailError: a value cannot be, or the values are not those that were written.
        """
        key = f"{table}/{name}"
        if key not in self._columns:
            header = self._headers[key]
            sums = self.manifest.get(CHECKSUMS)
            check_values(header, self._expected[key], sums.get(key, -1) if sums is not None else None)
            if name == "history_end":
                self.column(table, "user")
                check_history_ends(header, self._headers[f"{table}/user"], self.offsets)
            elif key == "behaviors/offsets":
                check_offsets(header, self.counts["behaviors"])
            self._columns[key] = header.mapped()
        return self._columns[key]

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """[users + 1]: user u's behaviours are rows offsets[u] to offsets[u + 1]."""
        return self.column("behaviors", "offsets")

    def earlier_behaviors(self, split: str) -> NDArray[np.int64]:
        """[impressions], how many stored behaviours of its user are earlier than each impression."""
        return self.column(split, "history_end") - self.offsets[self.column(split, "user")]

    @property
    def label(self) -> str:
        """The name with what tables must say beside it."""
        return f"{self.name} (simulated)" if self.simulation else f"{self.name} (real data)"


def names(data_dir: Path) -> list[str]:
    """Names of the stores below a data folder, sorted."""
    return sorted(path.parent.name for path in data_dir.glob(f"[!.]*/{_MANIFEST}"))


def find(data_dir: Path, name: str | None) -> Store:
    """The store of that name, or the only one there is.

    Raises:
        MailError: there is none of that name, or none was named and there is not exactly one.
    """
    known = names(data_dir)
    if not known and name:
        raise MailError(
            f"{data_dir}: holds no dataset, and '{name}' is needed. Make it with `mail preprocess`, or give the folder "
            "that holds it with --data-dir."
        )
    if not known:
        raise MailError(f"{data_dir}: holds no dataset yet. Make one with `mail preprocess ml-100k`.")
    if name is None and len(known) > 1:
        raise MailError(f"{data_dir} holds several datasets: name one of {choices(known)}.")
    if name is not None and name not in known:
        raise MailError(f"unknown dataset '{name}'.{nearest(name, known)} {data_dir} holds: {choices(known)}.")
    return Store(data_dir / (name or known[0]))


def check_target(data_dir: Path, name: str) -> Path:
    """The folder for a new store of that name; what is there already must be a store of ours.

    Raises:
        MailError: the name cannot be a folder's, or the folder holds something else.
    """
    if not _NAME.fullmatch(name) or name == "raw":
        raise MailError(
            f"'{name}' cannot name a dataset. Expected lower-case letters, digits, '.', '_' and '-' (not 'raw')."
        )
    folder = data_dir / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise MailError(f"{folder}: is not a folder. Choose another name with --name, or move it away.")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise MailError(
            f"{folder}: exists and is not a dataset store of ours, so it is left alone. "
            f"Choose another name with --name, or move it away."
        )
    return folder


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a store of any version, and holds nothing else."""
    try:
        manifest = read_json(folder / _MANIFEST)
        described = isinstance(manifest["format"], int) and {"schema", "vocabulary_sizes"} <= manifest.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return described and {path.name for path in folder.iterdir()} <= _ENTRIES


class StoreWriter:
    """A store in the making: everything goes to hidden folders, and is renamed when it is whole.

    Finished stages outlive a kill or Ctrl-C, so that the next run goes on from them; an error leaves nothing.

    Args:
        target: where the store will be.
        temp_dir: folder for intermediate files; None for the target's own disk.
    """

    def __init__(self, target: Path, temp_dir: Path | None = None) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name}.partial")
        # Stores of one name in different data folders may share the folder for intermediate files.
        mark = hashlib.sha256(str(target.resolve()).encode()).hexdigest()[:8]
        self.stages = Stages(
            temp_dir / f".{target.name}-{mark}.work" if temp_dir else target.with_name(f".{target.name}.work")
        )
        self._old = target.with_name(f".{target.name}.old")
        self._lock = Lock(target, f"{target}: another `mail preprocess` is making this store. Wait for it.")
        self._open: dict[str, ColumnWriter] = {}
        self._checksums: dict[str, int] = {}

    def __enter__(self) -> StoreWriter:
        self._lock.__enter__()
        # What a killed run left behind.
        if self._old.exists() and not self.target.exists():
            os.rename(self._old, self.target)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.stages.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # NumPy's short writes carry no errno, so the disk is asked, before the clean-up frees it.
        full = self._full_folder(error) if isinstance(error, OSError | MailError) else None
        for writer in self._open.values():
            writer.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
        if isinstance(error, KeyboardInterrupt) and self.stages.any:
            print(f"Interrupted. {self.stages.folder} keeps what is done: the same command goes on.", file=sys.stderr)
        else:
            self.stages.remove()
        self._lock.__exit__()
        if full:
            raise MailError(f"{full}: the disk is full. Nothing was kept; free some space and start again.") from error

    def _full_folder(self, error: BaseException) -> Path | None:
        """The folder on whose disk there was no space, if that is the error."""
        told = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        folders = [folder.parent for folder in (self.folder, self.stages.folder) if folder.is_dir()]
        full = [folder for folder in folders if shutil.disk_usage(folder).free < FULL]
        if not told and not isinstance(error, OSError):
            return None
        return full[0] if full else self.target.parent if told else None

    def write(self, table: str, name: str, values: ArrayLike) -> None:
        """Write a whole column at once."""
        path = self.folder / table
        path.mkdir(exist_ok=True)
        whole = np.ascontiguousarray(values)
        np.save(path / f"{name}.npy", whole, allow_pickle=False)
        self._checksums[f"{table}/{name}"] = checksum(whole)

    def append(self, table: str, name: str, values: NDArray) -> None:
        """Append to a column, made with the dtype of the first piece."""
        key = f"{table}/{name}"
        if key not in self._open:
            (self.folder / table).mkdir(exist_ok=True)
            self._open[key] = ColumnWriter(self.folder / f"{key}.npy", values.dtype)
        self._open[key].append(values)

    def read(self, table: str, name: str) -> NDArray:
        """A column that was written or appended, memory-mapped; it can be appended to no more."""
        self._close(f"{table}/{name}")
        return np.load(self.folder / table / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def _close(self, key: str) -> None:
        writer = self._open.pop(key, None)
        if writer:
            writer.close()
            self._checksums[key] = writer.checksum

    def remove(self, table: str) -> None:
        """Drop a table that was only an intermediate one."""
        shutil.rmtree(self.folder / table)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write dataset.json and put the store in its place, in place of an older one of ours."""
        for key in list(self._open):
            self._close(key)
        # Those of columns that were only intermediate are left out.
        sums = {key: self._checksums[key] for key in sorted(self._checksums) if (self.folder / f"{key}.npy").is_file()}
        text = json.dumps(seal({"format": FORMAT, **manifest, CHECKSUMS: sums}), indent=2, ensure_ascii=False)
        (self.folder / _MANIFEST).write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(self._old, ignore_errors=True)
        if self.target.exists():
            os.rename(self.target, self._old)
        os.rename(self.folder, self.target)
        shutil.rmtree(self._old, ignore_errors=True)


class ColumnWriter:
    """Appends to a `.npy` file of unknown length; NumPy leaves room in the header for the final one."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self.checksum = checksum(np.empty(0, self._dtype))
        """Of the values so far."""
        self._file = open(path, "wb")  # noqa: SIM115 (open for the writer's life)
        self._header()

    def _header(self) -> None:
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows,)},
        )

    def append(self, values: NDArray) -> None:
        """Add a 1-D piece of the column's dtype."""
        if values.dtype != self._dtype:
            raise TypeError(f"a column of {self._dtype} cannot take {values.dtype}")
        values.tofile(self._file)
        self.checksum = checksum(values, self.checksum)
        self._rows += len(values)

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the final header and close the file."""
        if not self._file.closed:
            self._header()
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, because it is about to be deleted."""
        with suppress(OSError):
            self._file.close()
