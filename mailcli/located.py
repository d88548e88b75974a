"""The files that a schema file names: found, their headers read, the columns that are asked for looked up in them."""

from __future__ import annotations

import csv
import glob
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.csvfile import HEAD, SHOWN
from mailcli.errors import choices, nearest
from mailcli.mapping import Files, Form

#: Ends of the names of Parquet files.
PARQUET = (".parquet", ".pq")
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
        return self.paths[0].suffix in PARQUET


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """A text file, plain or .gz; lines end as they do in it."""
    opener = gzip.open if path.suffix == ".gz" else open
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with opener(path, "rt", encoding=codec, errors="replace", newline="") as file:
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
            near = nearest(pattern, sorted(path.name for path in raw.glob("*"))) if raw.is_dir() else ""
            where = f"the folder {raw}" + ("" if raw.is_dir() else ", which does not exist")
            faults.append(f"{key} = '{pattern}': no such file in {where}.{near}".removesuffix("."))
        paths += [path for path in found if path not in paths]
    if not paths or any(fault.startswith(key) for fault in faults):
        return None
    kinds = {path.suffix in PARQUET for path in paths}
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
    if path.suffix in PARQUET:
        if files.columns:
            raise _UnusableError(f"{path.name} is a Parquet file, which names its columns. Expected no 'columns'")
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            raise _UnusableError(f"{path.name} cannot be read as Parquet ({error})") from error
        types = dict(zip(schema.names, schema.types, strict=True))
        return Located(files.role, (path,), tuple(schema.names), files.form, False, types)
    try:
        with open_text(path, files.form.encoding) as file:
            header = list(files.columns) or [name.strip() for name in split_line(file.readline(LONGEST), files.form)]
            lines = [line for line in (file.readline(LONGEST) for _ in range(HEAD)) if line.strip()]
    except (OSError, EOFError, UnicodeError, zlib.error, csv.Error) as error:
        raise _UnusableError(f"{path.name} cannot be read ({error})") from error
    if not lines:
        raise _UnusableError(f"{path.name} is empty. Expected {'rows' if files.columns else 'a header line and rows'}")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise _UnusableError(f"{path.name} has more than one column '{twice[0]}'. Expected names that differ")
    others = [each for each in SEPARATORS if len(header) == 1 and each in header[0]]
    if others:
        raise _UnusableError(
            f"{path.name}: {header[0][:SHOWN]!r} has 1 field, separated by {files.form.separator!r}. "
            f"Expected several; the separator may be {others[0]!r}"
        )
    _check_count(path, files, header, lines)
    return Located(files.role, (path,), tuple(header), files.form, not files.columns, {})


def _check_count(path: Path, files: Files, header: list[str], lines: list[str]) -> None:
    """Another separator than the file's is told at once, not after hours."""
    counts = []
    for line in islice(lines, HEAD):
        try:
            counts.append(len(split_line(line, files.form)))
        except csv.Error:  # a quote that another line closes
            return
    if all(count != len(header) for count in counts):
        shown = lines[0].strip()[:SHOWN]
        raise _UnusableError(
            f"{path.name}: {shown!r} has {counts[0]} fields. Expected {len(header)}, separated by "
            f"{files.form.separator!r}: {','.join(header)}"
        )


def check_columns(key: str, names: Iterable[str], located: Located | None, more: Located | None = None) -> list[str]:
    """The faults of a key that names columns of files, and perhaps of further ones that are joined to them."""
    if located is None:
        return []
    known = (*located.header, *(more.header if more else ()))
    return [
        f"{key} = '{name}': {located.paths[0].name} has no such column.{nearest(name, known)} It has: {choices(known)}"
        for name in names
        if name and name not in known
    ]
