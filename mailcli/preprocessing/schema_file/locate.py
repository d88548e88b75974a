"""Finds the files that a schema file names and reads their headers."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.errors import MAX_QUOTED, counted, did_you_mean, quoted_first
from mailcli.preprocessing.csv_file import HEAD_LINES
from mailcli.preprocessing.gzip_file import GZIP_ERRORS, GZIP_START, is_gzip
from mailcli.preprocessing.row_count import RowFormat
from mailcli.preprocessing.schema_file.definition import SchemaFile, TableFiles, TextFormat
from mailcli.preprocessing.schema_file.folders import example_pattern, folder_columns
from mailcli.preprocessing.schema_file.parquet import is_parquet
from mailcli.preprocessing.schema_file.part_differences import part_difference
from mailcli.preprocessing.schema_file.text_file import (
    SEPARATORS,
    first_bytes,
    is_blank,
    looks_like,
    open_text,
    read_rows,
    repeated_name,
    utf_16_order,
)
from mailcli.utils.path_names import path_fault

#: Extensions of compressed files that cannot be read.
UNSUPPORTED = (".zip", ".zst", ".bz2", ".xz", ".7z", ".tar", ".tgz", ".rar", ".lz4")

#: Columns of a file that an error lists (ours).
SHOWN_COLUMNS = 100
#: Columns up to which all are read, so that rows are set aside as they are (ours: DuckDB keeps 2,048 rows of every
#: column that it reads, which is 130 MB per thread).
WIDEST_READ = 4000


@dataclass(frozen=True)
class LocatedFiles:
    """The files of a table on disk, all with the same columns."""

    role: str
    paths: tuple[Path, ...]
    header: tuple[str, ...]
    format: TextFormat
    has_header: bool
    """Whether the first line of each file holds the column names; false for Parquet."""
    types: dict[str, pa.DataType]
    """Types of Parquet columns; empty for text files."""
    has_rows: bool = True
    """Whether there are rows; not known for Parquet."""
    raw: Path = Path()
    """The raw folder."""
    folder_columns: tuple[str, ...] = ()
    """More columns, whose values are in the names of the folders: `date=2022-05-07`."""

    named: frozenset[str] = frozenset()
    """The columns that the schema file names."""
    copies: Mapping[Path, Path] = field(default_factory=dict)
    """The copies as UTF-8 of files in an encoding that DuckDB does not read."""

    @property
    def parquet(self) -> bool:
        """Whether these are Parquet files."""
        return is_parquet(self.paths[0])

    @property
    def is_wide(self) -> bool:
        """Whether only the columns that the schema file names are read."""
        return len(self.header) > WIDEST_READ

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The places of the columns that are read."""
        return tuple(
            number
            for number, name in enumerate(self.header)
            if not self.is_wide or not self.named or name in self.named
        )

    @property
    def read_header(self) -> tuple[str, ...]:
        """The names of the columns that are read."""
        return tuple(self.header[number] for number in self.numbers)

    @property
    def key(self) -> str:
        """The table of the schema file that names them."""
        return "impressions.join" if self.role == "join" else self.role

    @property
    def row_formats(self) -> dict[Path, RowFormat | None]:
        """How the rows of each file are written; None for Parquet."""
        text = self.format
        row_format = RowFormat(text.separator, text.quote, text.encoding, self.has_header, len(self.header))
        return dict.fromkeys(self.paths, None if self.parquet else row_format)


#: The files by the role of their table; None where they are missing or unusable.
FilesByRole = Mapping[str, LocatedFiles | None]


def files_of(schema: SchemaFile, files: FilesByRole, role: str) -> LocatedFiles | None:
    """The files of a table; those of the impressions if it has none of its own."""
    own = {"users": schema.users, "items": schema.items, "behaviors": schema.behaviors}.get(role)
    return files.get(role if own is None or own.patterns else "impressions")


class _UnusableFileError(Exception):
    """A file is not what the schema file says."""


def locate(files: TableFiles, raw: Path, faults: list[str]) -> LocatedFiles | None:
    """The files of a table in the raw folder; None, with faults added, if they are missing or unusable."""
    key = f"{'impressions.join' if files.role == 'join' else files.role}.files"
    paths = _matching_paths(key, files.patterns, raw, faults)
    if not paths or any(fault.startswith(key) for fault in faults):
        return None
    if len(set(map(is_parquet, paths))) > 1:
        faults.append(f"{key}: Parquet and text files are mixed. Expected only one kind")
        return None
    try:
        parts = [(_parquet_file if is_parquet(path) else _text_file)(files, path) for path in paths]
    except _UnusableFileError as error:
        faults.append(f"{key}: {error}")
        return None
    # A part of a table may be empty, or hold only the header line, as Spark and Hive write them.
    first = next((part for part in parts if part.has_rows), None)
    if first is None:
        expected = "rows" if files.columns else "a header line and rows"
        faults.append(f"{key}: {paths[0].name} is empty. Expected {expected}")
        return None
    for part in parts:
        header = part.header or first.header
        if (header, part.types) != (first.header, first.types):
            names = [_relative(path, paths, raw) for path in (part.paths[0], first.paths[0])]
            columns = [(header, tuple(part.types.values())), (first.header, tuple(first.types.values()))]
            faults.append(
                f"{key}: {names[0]} and {names[1]} have different columns: "
                f"{part_difference(names[0], columns[0], names[1], columns[1])}. Expected the same columns and "
                "types in the same order"
            )
            return None
    by_folder = tuple(name for name in folder_columns(paths, raw) if name not in first.header)
    return replace(first, paths=tuple(paths), raw=raw, folder_columns=by_folder)


def _relative(path: Path, paths: Sequence[Path], raw: Path) -> str:
    """A file's name; below the raw folder, if several files have it."""
    return path.name if sum(other.name == path.name for other in paths) == 1 else str(path.relative_to(raw))


def _matching_paths(key: str, patterns: Iterable[str], raw: Path, faults: list[str]) -> list[Path]:
    """The files that match any of the patterns; a pattern that matches nothing is a fault."""
    paths: list[Path] = []
    for pattern in patterns:
        matches = [raw / name for name in sorted(glob.glob(pattern, root_dir=raw, recursive=True))]
        bad = next(((path, fault) for path in matches if (fault := path_fault(path))), None)
        if bad:
            faults.append(f"{key} = '{pattern}': {bad[0]}: {bad[1]}")
            continue
        folders, matches = [path for path in matches if path.is_dir()], [path for path in matches if path.is_file()]
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            faults.append(f"{key} = '{pattern}': leads out of the folder of --raw. Expected a path or pattern below it")
        elif folders and not matches:
            example = example_pattern(folders[0], pattern)
            faults.append(f"{key} = '{pattern}': is a folder. Expected files, or a pattern such as '{example}'")
        elif not matches and os.path.lexists(raw / pattern):
            is_link = (raw / pattern).is_symlink()
            no_file = "is not a file, or has a [, which begins a pattern: write [[] instead" if pattern else "is empty"
            kind = "is a broken link" if is_link else no_file
            faults.append(f"{key} = '{pattern}': {kind}. Expected a file in the folder {raw}")
        elif not matches:
            hint = did_you_mean(pattern, sorted(path.name for path in raw.glob("*"))) if raw.is_dir() else ""
            reason = "" if raw.is_dir() else ", which is a file" if raw.exists() else ", which does not exist"
            faults.append(f"{key} = '{pattern}': no such file in the folder {raw}{reason}.{hint}".removesuffix("."))
        paths += [path for path in matches if path not in paths]
    return paths


def _parquet_file(files: TableFiles, path: Path) -> LocatedFiles:
    if files.columns:
        raise _UnusableFileError(f"{path.name} is a Parquet file, which names its columns. Expected no 'columns'")
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise _UnusableFileError(f"{path.name} cannot be read as Parquet ({error})") from error
    _check_names(path, schema.names)
    types = [data_type.value_type if pa.types.is_dictionary(data_type) else data_type for data_type in schema.types]
    by_name = dict(zip(schema.names, types, strict=True))
    return LocatedFiles(files.role, (path,), tuple(schema.names), files.format, False, by_name)


def _text_file(files: TableFiles, path: Path) -> LocatedFiles:
    if path.suffix.lower() in UNSUPPORTED:
        raise _UnusableFileError(f"{path.name} is compressed. Expected an uncompressed file, or .gz")
    if path.suffix.lower() == ".gz" and not is_gzip(path):
        raise _UnusableFileError(f"{path.name} ends in {path.suffix}. Expected the extension .gz: rename the file")
    try:
        _check_encoding(path, files.format.encoding)
        with open_text(path, files.format.encoding) as file:
            rows = read_rows(file, files.format)
            header = list(files.columns) or [name.strip() for name in next(rows, [])]
            first_rows = _first_rows(rows)
    except (OSError, *GZIP_ERRORS, UnicodeError, csv.Error) as error:
        raise _UnusableFileError(f"{path.name} cannot be read ({error})") from error
    if is_blank(header) and first_rows:
        raise _UnusableFileError(f"{path.name} begins with a blank line. Expected the names of its columns there")
    _check_names(path, header)
    if first_rows:
        _check_separator(path, files.format.separator, header, first_rows)
    return LocatedFiles(files.role, (path,), tuple(header), files.format, not files.columns, {}, bool(first_rows))


def _check_encoding(path: Path, encoding: str) -> None:
    """Refuse what its first bytes show to be no text in the encoding."""
    beginning = first_bytes(path)
    for start, what, extension in ((GZIP_START, "compressed by gzip", ".gz"), (b"PAR1", "Parquet", ".parquet")):
        if beginning.startswith(start):
            raise _UnusableFileError(
                f"{path.name} is {what}. Expected a name that ends in {extension}: rename the file"
            )
    order = utf_16_order(path)
    if b"\0" in beginning and (not order or beginning.endswith(b"\0\0")):
        raise _UnusableFileError(
            f"{path.name} begins as UTF-32 does, or UTF-16 without a byte order mark, which cannot be read. Expected "
            "UTF-8: save it as that"
        )
    if order == "big":
        raise _UnusableFileError(
            f"{path.name} is big-endian UTF-16, which cannot be read. Expected UTF-8: save it as that"
        )
    if order and encoding != "utf-16":
        raise _UnusableFileError(f'{path.name} is UTF-16, but encoding is {encoding!r}. Expected encoding = "utf-16"')
    if encoding not in {"utf-8", "utf-16"} and looks_like(path, "utf-8"):
        raise _UnusableFileError(f'{path.name} is UTF-8, but encoding is {encoding!r}. Expected encoding = "utf-8"')


def _check_names(path: Path, header: Sequence[str]) -> None:
    """Columns are identified by their names."""
    name = repeated_name(header)
    if name is not None:
        raise _UnusableFileError(f"{path.name} has more than one column '{name}'. Expected distinct names")


def _first_rows(rows: Iterator[list[str]]) -> list[list[str]]:
    """The first rows that are not blank."""
    first: list[list[str]] = []
    try:
        first.extend(row for row in islice(rows, HEAD_LINES) if not is_blank(row))
    except csv.Error:  # a quote is not closed: reported with its row when all rows are read
        return first or [[]]
    return first


def _check_separator(path: Path, separator: str, header: Sequence[str], first_rows: Sequence[Sequence[str]]) -> None:
    """A wrong separator is reported at once, not after hours."""
    candidates = [candidate for candidate in SEPARATORS if len(header) == 1 and candidate in header[0]]
    if candidates:
        raise _UnusableFileError(
            f"{path.name}: {header[0][:MAX_QUOTED]!r} has 1 field, separated by {separator!r}. Expected several; the "
            f"separator may be {candidates[0]!r}"
        )
    if all(len(row) not in {0, len(header)} for row in first_rows):
        row = first_rows[0]
        raise _UnusableFileError(
            f"{path.name}: {separator.join(row)[:MAX_QUOTED]!r} has {counted(len(row), 'field')}. Expected "
            f"{len(header)}, separated by {separator!r}: {first_names(header)}"
        )


def first_names(header: Sequence[str]) -> str:
    """The names of the first columns, for an error text."""
    more = f" and {len(header) - SHOWN_COLUMNS:,} more" if len(header) > SHOWN_COLUMNS else ""
    return f"{','.join(header[:SHOWN_COLUMNS])}{more}"


def missing_values(column: str, files: LocatedFiles, joined: LocatedFiles | None = None) -> Sequence[str]:
    """What stands for a missing value in a column of some files, or of files joined to them."""
    is_joined = joined is not None and column not in files.header and column in joined.header
    return joined.format.missing if joined and is_joined else files.format.missing


def missing_columns(
    key: str, names: Iterable[str], files: LocatedFiles | None, joined: LocatedFiles | None = None
) -> list[str]:
    """The faults of a key that names columns of some files, or of files joined to them."""
    if files is None:
        return []
    known = (*files.header, *(joined.header if joined else ()), *files.folder_columns)
    return [
        f"{key} = '{name}': {files.paths[0].name} has no such column.{did_you_mean(name, known)} "
        f"It has: {quoted_first(known, SHOWN_COLUMNS)}"
        for name in names
        if name and name not in known
    ]
