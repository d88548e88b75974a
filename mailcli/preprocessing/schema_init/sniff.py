"""The first rows of files: separator, encoding, header line, and of each column what it may hold."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.definition import Form
from mailcli.preprocessing.schema_file.locate import LONGEST, PARQUET, SEPARATORS, open_text
from mailcli.preprocessing.schema_init.column_profile import MISSING, Profile

#: Rows that are looked at (ours).
LOOKED_AT = 10_000
#: GroupLens' files have no header line; the names are those of its README.
KNOWN_COLUMNS = {
    "users.dat": ("UserID", "Gender", "Age", "Occupation", "Zip-code"),
    "movies.dat": ("MovieID", "Title", "Genres"),
    "ratings.dat": ("UserID", "MovieID", "Rating", "Timestamp"),
    "u.data": ("user_id", "item_id", "rating", "timestamp"),
    "u.user": ("user_id", "age", "gender", "occupation", "zip_code"),
}


@dataclass(frozen=True)
class Sampled:
    """One file by its first rows."""

    path: Path
    form: Form
    has_header: bool
    parquet: bool
    columns: tuple[Profile, ...]
    types: tuple[str, ...] = ()
    """Of Parquet's columns; empty for texts."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)


def sample(path: Path) -> Sampled:
    """The first rows of a file.

    Raises:
        MailError: it cannot be read, is no table, has no rows, or two columns of one name.
    """
    if not path.is_file():
        raise MailError(f"{path}: is not a file. Expected CSV, another separated text, or Parquet.")
    if path.suffix.lower() in PARQUET:
        found = _parquet(path)
    else:
        try:
            found = _separated(path)
        except (OSError, EOFError, zlib.error, csv.Error) as error:
            raise MailError(f"{path}: cannot be read ({error}).") from error
    twice = [name for name in found.names if found.names.count(name) > 1]
    if twice:
        raise MailError(
            f"{path}: has more than one column '{twice[0]}'. Expected names that differ: rename one in the file."
        )
    return found


# Texts


def _separated(path: Path) -> Sampled:
    form, rows = _texts(path)
    has_header = _is_header(rows)
    body = rows[1:] if has_header else rows
    if not body:
        raise MailError(f"{path}: has no row below the header line. Expected rows.")
    known = KNOWN_COLUMNS.get(path.name, ())
    if has_header:
        names = [name.strip() for name in rows[0]]
    else:
        names = list(known) if len(known) == len(rows[0]) else [f"column_{place + 1}" for place in range(len(rows[0]))]
    columns = (_profile(name, [row[place] for row in body]) for place, name in enumerate(names))
    return Sampled(path, form, has_header, False, tuple(columns))


def _profile(name: str, values: Sequence[str]) -> Profile:
    found = tuple(text for text in MISSING if text in values)
    return Profile(name, tuple(value for value in values if value and value not in MISSING), found)


def _texts(path: Path) -> tuple[Form, list[list[str]]]:
    """The form that gives most rows of several fields, as many each; and these rows."""
    encoding, lines = _decoded(path)
    if not lines:
        raise MailError(f"{path}: the file is empty. Expected rows.")
    if "\0" in lines[0]:
        raise MailError(
            f"{path}: holds zero bytes, which no text does. Expected CSV, another separated text (.gz at most is "
            "unpacked), or Parquet whose name ends in .parquet; unpack it, or save it as UTF-8."
        )
    for separator in SEPARATORS:
        for quote in ('"', "") if len(separator) == 1 else ("",):
            form = Form(separator, encoding, quote)
            rows = _rows(path, form)
            if rows:
                return form, rows
    raise MailError(
        f"{path}: no separator splits its first {len(lines):,} lines into as many fields each; the first is "
        f"{lines[0][:100]!r}. Expected one of {', '.join(map(repr, SEPARATORS))}."
    )


def _decoded(path: Path) -> tuple[str, list[str]]:
    """The encoding and the first lines that are not blank."""
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        mark = file.read(2)
    if mark == b"\xfe\xff":
        raise MailError(f"{path}: is UTF-16 with the higher byte first, which cannot be read. Save it as UTF-8.")
    encoding = "utf-16" if mark == b"\xff\xfe" else "utf-8"
    lines = _lines(path, encoding)
    if encoding == "utf-8" and any("\ufffd" in line for line in lines):
        encoding = "latin-1"
        lines = _lines(path, encoding)
    return encoding, lines


def _lines(path: Path, encoding: str) -> list[str]:
    with open_text(path, encoding) as file:
        read = (file.readline(LONGEST).rstrip("\r\n") for _ in range(LOOKED_AT))
        return [line for line in read if line.strip()]


def _rows(path: Path, form: Form) -> list[list[str]]:
    """The first rows; none where they are not of several fields, as many each."""
    rows: list[list[str]] = []
    with open_text(path, form.encoding) as file:
        lines = iter(lambda: file.readline(LONGEST), "")
        try:
            for row in islice(_split(lines, form), LOOKED_AT):
                if len(row) < 2 or len(row) != len(rows[0] if rows else row):
                    return []
                rows.append(row)
        except csv.Error:  # quotes that are none
            return []
    return rows


def _split(lines: Iterator[str], form: Form) -> Iterator[list[str]]:
    """The rows of lines, of which several are one row where a line break is within quotes; blank lines are none."""
    if form.quote:
        # As strict as DuckDB.
        rows = csv.reader(lines, delimiter=form.separator, quotechar=form.quote, strict=True)
        yield from (row for row in rows if "".join(row).strip() or len(row) > 1)
    else:
        yield from (line.rstrip("\r\n").split(form.separator) for line in lines if line.strip())


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: with texts that are not among the values below them.

    A name may be missing above row numbers (as pandas writes them), and above nothing (where lines end in a separator).
    """
    below = [{row[place] for row in rows[1:]} for place in range(len(rows[0]))]
    return any(rows[0]) and all(
        cell not in values if re.match(r"[^\W\d]", cell) else not cell and all(map(_no_name_above, values))
        for cell, values in zip(rows[0], below, strict=True)
    )


def _no_name_above(value: str) -> bool:
    return not value or value.isdecimal()


# Parquet


def _parquet(path: Path) -> Sampled:
    try:
        file = pq.ParquetFile(path)
        batch = next(file.iter_batches(LOOKED_AT), None)
    except (OSError, pa.ArrowException) as error:
        raise MailError(f"{path}: cannot be read as Parquet ({error}).") from error
    if batch is None or not batch.num_rows:
        raise MailError(f"{path}: has no rows. Expected some.")
    columns = [_column(name, values) for name, values in zip(batch.schema.names, batch.columns, strict=True)]
    return Sampled(path, Form(), False, True, tuple(columns), tuple(map(str, batch.schema.types)))


def _column(name: str, values: pa.Array) -> Profile:
    """A column by its values as `mailcli.preprocessing.schema_file.sql` makes texts of them."""
    kind = values.type
    unfit = _unfit(kind)
    if unfit:
        return Profile(name, (), unfit=unfit)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seconds = values.cast(pa.timestamp("s", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        return Profile(name, tuple(map(str, seconds.drop_null().to_pylist())), is_time=True)
    held = [value for value in values.to_pylist() if value is not None]
    if _is_list(kind):
        lists = [{_text(one) for one in each if one is not None} - {""} for each in held]
        return Profile(name, tuple("|".join(sorted(each)) for each in lists), lengths=tuple(map(len, lists)))
    return Profile(name, tuple(map(_text, (value for value in held if value == value))))


def _text(value: Any) -> str:
    return str(int(value) if value is True or value is False else value)


def _is_list(kind: pa.DataType) -> bool:
    return any(check(kind) for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _unfit(kind: pa.DataType) -> str:
    """What a column holds that is no single value and no list of such; empty where it is fit."""
    if _is_list(kind):
        return "nested lists" if pa.types.is_nested(kind.value_type) or _unfit(kind.value_type) else ""
    if pa.types.is_map(kind):
        return "maps"
    if pa.types.is_nested(kind):
        return "structs"
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return "bytes" if any(check(kind) for check in binary) else ""
