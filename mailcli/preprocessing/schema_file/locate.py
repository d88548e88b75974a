"""The files that a schema file names: found, their headers read, the columns that are asked for looked up in them."""

from __future__ import annotations

import csv
import glob
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.errors import MAX_QUOTED, did_you_mean, quoted
from mailcli.preprocessing.csv_file import HEAD
from mailcli.preprocessing.schema_file.definition import Files, Form

#: Ends of the names of Parquet files.
PARQUET = (".parquet", ".pq")
#: Ends of the names of packed files that are not read.
PACKED = (".zip", ".zst", ".bz2", ".xz", ".7z", ".tar", ".tgz", ".rar", ".lz4")
#: Usual separators, the longest first.
SEPARATORS = ("::", "\t", ";", "|", ",")
#: Characters of a line that are looked at (ours).
LONGEST = 1 << 20


@dataclass(frozen=True)
class Located:
    """A table's files, alike in their columns."""

    role: str
    paths: tuple[Path, ...]
    header: tuple[str, ...]
    form: Form
    has_header: bool
    """Whether the first line of each file holds the names; false for Parquet."""
    types: dict[str, pa.DataType]
    """Of Parquet's columns; empty for texts."""

    @property
    def parquet(self) -> bool:
        """Whether these are Parquet files."""
        return is_parquet(self.paths[0])


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its name."""
    return path.suffix.lower() in PARQUET


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of Parquet holds lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def is_readable(kind: pa.DataType) -> bool:
    """Whether a column of Parquet holds single values that have a text, or lists of such."""
    value = kind.value_type if is_list(kind) else kind
    return not (pa.types.is_nested(value) or pa.types.is_binary(value) or pa.types.is_large_binary(value))


@contextmanager
def open_text(path: Path, encoding: str, errors: str = "replace") -> Iterator[IO[str]]:
    """A text file, plain or .gz; lines end as they do in it, bytes that are no text are as `errors` says."""
    opener = gzip.open if path.suffix == ".gz" else open
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with opener(path, "rt", encoding=codec, errors=errors, newline="") as file:
        yield file  # type: ignore[misc]


def split_line(line: str, form: Form) -> list[str]:
    """The fields of a line."""
    line = line.rstrip("\r\n")
    if not form.quote:
        return line.split(form.separator)
    return next(csv.reader([line], delimiter=form.separator, quotechar=form.quote), [])


def locate(files: Files, raw: Path, faults: list[str]) -> Located | None:
    """A table's files below the folder of the raw files; None and faults where they are not as they should be."""
    key = f"{'impressions.join' if files.role == 'join' else files.role}.files"
    paths: list[Path] = []
    for pattern in files.patterns:
        found = [raw / name for name in sorted(glob.glob(pattern, root_dir=raw, recursive=True))]
        found = [path for path in found if path.is_file()]
        if not found:
            near = did_you_mean(pattern, sorted(path.name for path in raw.glob("*"))) if raw.is_dir() else ""
            why = "" if raw.is_dir() else ", which is a file" if raw.exists() else ", which does not exist"
            faults.append(f"{key} = '{pattern}': no such file in the folder {raw}{why}.{near}".removesuffix("."))
        paths += [path for path in found if path not in paths]
    if not paths or any(fault.startswith(key) for fault in faults):
        return None
    kinds = set(map(is_parquet, paths))
    if len(kinds) > 1:
        faults.append(f"{key}: Parquet and other files together. Expected one kind")
        return None
    try:
        parts = [_located(files, path) for path in paths]
    except _UnusableError as error:
        faults.append(f"{key}: {error}")
        return None
    for path, part in zip(paths, parts, strict=True):
        if (part.header, part.types) != (parts[0].header, parts[0].types):
            faults.append(
                f"{key}: {path.name} has other columns than {paths[0].name}. Expected the same in the same order"
            )
            return None
    first = parts[0]
    return Located(files.role, tuple(paths), first.header, files.form, first.has_header, first.types)


class _UnusableError(Exception):
    """A file that cannot be what it was said to be."""


def _located(files: Files, path: Path) -> Located:
    """One file."""
    if is_parquet(path):
        if files.columns:
            raise _UnusableError(f"{path.name} is a Parquet file, which names its columns. Expected no 'columns'")
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            raise _UnusableError(f"{path.name} cannot be read as Parquet ({error})") from error
        _check_names(path, schema.names)
        kinds = (kind.value_type if pa.types.is_dictionary(kind) else kind for kind in schema.types)
        types = dict(zip(schema.names, kinds, strict=True))
        return Located(files.role, (path,), tuple(schema.names), files.form, False, types)
    if path.suffix.lower() in PACKED:
        raise _UnusableError(f"{path.name} is packed. Expected it unpacked, or packed as .gz")
    try:
        _check_encoding(path, files.form.encoding)
        with open_text(path, files.form.encoding) as file:
            rows = _rows(file, files.form)
            header = list(files.columns) or [name.strip() for name in next(rows, [])]
            head = _head(rows)
    except (OSError, EOFError, UnicodeError, zlib.error, csv.Error) as error:
        raise _UnusableError(f"{path.name} cannot be read ({error})") from error
    if not head:
        raise _UnusableError(f"{path.name} is empty. Expected {'rows' if files.columns else 'a header line and rows'}")
    _check_names(path, header)
    others = [each for each in SEPARATORS if len(header) == 1 and each in header[0]]
    if others:
        raise _UnusableError(
            f"{path.name}: {header[0][:MAX_QUOTED]!r} has 1 field, separated by {files.form.separator!r}. "
            f"Expected several; the separator may be {others[0]!r}"
        )
    _check_count(path, files, header, head)
    return Located(files.role, (path,), tuple(header), files.form, not files.columns, {})


def _check_encoding(path: Path, encoding: str) -> None:
    """UTF-16 is told by its first two bytes, and would be read as other texts with a zero after each letter."""
    with open_text(path, "latin-1") as file:
        mark = file.read(2)
    if mark in {"\xff\xfe", "\xfe\xff"} and encoding != "utf-16":
        raise _UnusableError(f'{path.name} is UTF-16 text, and encoding is {encoding!r}. Expected encoding = "utf-16"')


def _check_names(path: Path, header: Sequence[str]) -> None:
    """Columns are known by their names."""
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise _UnusableError(f"{path.name} has more than one column '{twice[0]}'. Expected names that differ")


def _rows(file: IO[str], form: Form) -> Iterator[list[str]]:
    """The rows of a text, which may span lines by quotes (csv.Error: one of them never ends)."""
    lines = iter(lambda: file.readline(LONGEST), "")
    if form.quote:
        return csv.reader(lines, delimiter=form.separator, quotechar=form.quote)
    return (split_line(line, form) if line.strip() else [] for line in lines)


def _head(rows: Iterator[list[str]]) -> list[list[str]]:
    """The first rows that are not blank."""
    found: list[list[str]] = []
    try:
        found.extend(row for row in islice(rows, HEAD) if row and (len(row) > 1 or row[0].strip()))
    except csv.Error:  # a quote that is not closed: what is wrong is told when all rows are read
        return found or [[]]
    return found


def _check_count(path: Path, files: Files, header: list[str], head: list[list[str]]) -> None:
    """Another separator than the file's is told at once, not after hours."""
    if all(len(row) not in {0, len(header)} for row in head):
        shown = files.form.separator.join(head[0])[:MAX_QUOTED]
        raise _UnusableError(
            f"{path.name}: {shown!r} has {len(head[0])} fields. Expected {len(header)}, separated by "
            f"{files.form.separator!r}: {','.join(header)}"
        )


def check_columns(key: str, names: Iterable[str], located: Located | None, more: Located | None = None) -> list[str]:
    """The faults of a key that names columns of files, and perhaps of further ones that are joined to them."""
    if located is None:
        return []
    known = (*located.header, *(more.header if more else ()))
    return [
        f"{key} = '{name}': {located.paths[0].name} has no such column.{did_you_mean(name, known)} "
        f"It has: {quoted(known)}"
        for name in names
        if name and name not in known
    ]
