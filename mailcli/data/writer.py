"""Writes a dataset: everything goes to hidden folders, which are renamed when the dataset is complete."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mailcli.data.columns import checksum
from mailcli.data.dataset import MANIFEST, REJECTED, SUMMARY
from mailcli.data.manifest import CHECKSUMS, FORMAT, UNSEEN, seal
from mailcli.data.schema import SPLITS
from mailcli.data.texts import ENDS, TEXTS, encode_texts
from mailcli.errors import MailError
from mailcli.utils.files import replace_folder, restore_folder
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.parsing import read_json
from mailcli.utils.paths import real_path
from mailcli.utils.resumable import ResumableStages

logger = logging.getLogger(__name__)


#: Free bytes below which a failed write means a full disk (ours: one block of a file system).
FULL_DISK_BYTES = 1 << 16
_ENTRIES = {MANIFEST, SUMMARY, REJECTED, "users", "items", "behaviors", "vocabularies", UNSEEN, *SPLITS}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def check_target(data_dir: Path, name: str) -> Path:
    """The folder for a new dataset of that name; it may hold an older dataset, but nothing else.

    Raises:
        MailError: the name cannot name a folder, or the folder holds something else.
    """
    if not _NAME.fullmatch(name) or name == "raw":
        raise MailError(
            f"'{name}' cannot name a dataset. Expected lower-case letters, digits, '.', '_' and '-' (not 'raw')."
        )
    folder = data_dir / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise MailError(f"{folder}: is not a folder. Choose another name with --name, or move it away.")
    if folder.is_dir() and any(folder.iterdir()) and not _is_dataset(folder):
        raise MailError(
            f"{folder}: exists and is not a dataset made by `mail`, so it is left untouched. "
            f"Choose another name with --name, or move it away."
        )
    return folder


def _is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset of any format version, and holds nothing else."""
    try:
        manifest = read_json(folder / MANIFEST)
        has_manifest = isinstance(manifest["format"], int) and {"schema", "vocabulary_sizes"} <= manifest.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return has_manifest and {path.name for path in folder.iterdir()} <= _ENTRIES


class DatasetWriter:
    """Writes a dataset into a hidden folder, which is renamed when the dataset is complete.

    Finished stages survive a kill or Ctrl-C, so that the next run resumes after them; an error leaves nothing behind.

    Args:
        target: where the dataset will be.
        temp_dir: folder for intermediate files; None for the target's own disk.
    """

    def __init__(self, target: Path, temp_dir: Path | None = None) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name}.partial")
        # Datasets of the same name in different data folders may share the folder for intermediate files.
        target_hash = hashlib.sha256(os.fsencode(real_path(target))).hexdigest()[:8]
        self.stages = ResumableStages(
            temp_dir / f".{target.name}-{target_hash}.work" if temp_dir else target.with_name(f".{target.name}.work")
        )
        self._lock = FolderLock(target, f"{target}: another `mail preprocess` is making this dataset. Wait for it.")
        self._open: dict[str, ColumnWriter] = {}
        self._checksums: dict[str, int] = {}

    def __enter__(self) -> DatasetWriter:
        self._lock.__enter__()
        try:
            # What a killed run left behind.
            restore_folder(self.target)
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            self.stages.open()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # NumPy's errors for short writes have no errno, so look at the disk before the cleanup frees space.
        full = self._full_folder(error) if isinstance(error, OSError | MailError) else None
        for writer in self._open.values():
            writer.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
        # Before `begin`, the stages are those of an earlier command, and this one may only have a typo.
        is_kept = isinstance(error, KeyboardInterrupt) or (error is not None and not self.stages.has_begun)
        if not (is_kept and self.stages.any_finished):
            self.stages.remove()
        elif isinstance(error, KeyboardInterrupt):
            error.args = (f"Interrupted. Progress is saved in {self.stages.folder}; run the same command to resume.",)
        self._lock.__exit__()
        if full:
            raise MailError(f"{full}: the disk is full. Nothing was kept; free some space and start again.") from error

    def _full_folder(self, error: BaseException) -> Path | None:
        """The folder whose disk is full, if that caused the error."""
        says_full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        if not says_full and not isinstance(error, OSError):
            return None
        folders = [folder.parent for folder in (self.folder, self.stages.folder) if folder.is_dir()]
        full = [folder for folder in folders if shutil.disk_usage(folder).free < FULL_DISK_BYTES]
        if full:
            return full[0]
        return self.target.parent if says_full else None

    def write(self, table: str, name: str, values: ArrayLike) -> None:
        """Write a whole column at once; Python strings become a text column (data/texts.py)."""
        if np.asarray(values).dtype == object:
            ends, utf8 = encode_texts(np.asarray(values))
            self.write(table, f"{name}.{ENDS}", ends)
            self.write(table, f"{name}.{TEXTS}", utf8)
            return
        path = self.folder / table
        path.mkdir(exist_ok=True)
        column = np.ascontiguousarray(values)
        np.save(path / f"{name}.npy", column, allow_pickle=False)
        self._checksums[f"{table}/{name}"] = checksum(column)

    def append(self, table: str, name: str, values: NDArray) -> None:
        """Append to a column; the first piece decides its dtype."""
        key = f"{table}/{name}"
        if key not in self._open:
            (self.folder / table).mkdir(exist_ok=True)
            self._open[key] = ColumnWriter(self.folder / f"{key}.npy", values.dtype)
        self._open[key].append(values)

    def read(self, table: str, name: str) -> NDArray:
        """A column written so far, memory-mapped; nothing can be appended to it afterwards."""
        self._close(f"{table}/{name}")
        return np.load(self.folder / table / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def _close(self, key: str) -> None:
        writer = self._open.pop(key, None)
        if writer:
            writer.close()
            self._checksums[key] = writer.checksum

    def remove(self, table: str) -> None:
        """Delete an intermediate table."""
        shutil.rmtree(self.folder / table)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write dataset.json, then move the dataset to its folder, replacing an older one."""
        for key in list(self._open):
            self._close(key)
        # Without those of intermediate columns.
        sums = {key: self._checksums[key] for key in sorted(self._checksums) if (self.folder / f"{key}.npy").is_file()}
        text = json.dumps(seal({"format": FORMAT, **manifest, CHECKSUMS: sums}), indent=2, ensure_ascii=False)
        (self.folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
        replace_folder(self.folder, self.target)


class ColumnWriter:
    """Appends to a `.npy` file of unknown length; NumPy's header has room for the final length."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self.checksum = checksum(np.empty(0, self._dtype))
        """Checksum of the values so far."""
        self._file = open(path, "wb")  # noqa: SIM115 (stays open until `close`)
        self._header()

    def _header(self) -> None:
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows,)},
        )

    def append(self, values: NDArray) -> None:
        """Append a 1-D array of the column's dtype (TypeError: it has another)."""
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
        """Close the file without finishing it, because it is about to be deleted."""
        with suppress(OSError):
            self._file.close()
