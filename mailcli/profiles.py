"""What the first rows of files tell: separator, encoding, header line, and of each column what it may hold."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.errors import MailError
from mailcli.located import LONGEST, PARQUET, SEPARATORS, open_text, split_line
from mailcli.mapping import Form

#: Rows that are looked at (ours).
LOOKED_AT = 10_000
#: Forms of times that are recognised.
TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d/%m/%Y %H:%M:%S", "%Y%m%d")
#: Texts that stand for missing values in files of many makers.
MISSING = ("NULL", "null", "NA", "N/A", "NaN", "nan", "None", "UNKNOWN", "\\N", "?")
#: Separators inside a field that make it a list, and the share of the values that must have one (ours).
LIST_SEPARATORS, LIST_SHARE = ("|", ";", ","), 0.2
#: GroupLens' files have no header line; the names are those of its README.
KNOWN_COLUMNS = {
    "users.dat": ("UserID", "Gender", "Age", "Occupation", "Zip-code"),
    "movies.dat": ("MovieID", "Title", "Genres"),
    "ratings.dat": ("UserID", "MovieID", "Rating", "Timestamp"),
    "u.data": ("user_id", "item_id", "rating", "timestamp"),
    "u.user": ("user_id", "age", "gender", "occupation", "zip_code"),
}
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Profile:
    """One column by the values of the first rows."""

    name: str
    values: tuple[str, ...]
    """Without missing ones."""
    missing: tuple[str, ...]
    """Texts that seem to stand for missing values."""
    is_list: bool = False
    """A list of Parquet."""
    is_time: bool = False
    """A time of Parquet."""

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.values))

    @property
    def unique(self) -> bool:
        """Whether no value is there twice."""
        return self.distinct == len(self.values)

    @property
    def whole(self) -> bool:
        """Whether all values are plain whole numbers."""
        return bool(self.values) and all(_INTEGER.fullmatch(value) for value in self.values)

    @property
    def number(self) -> bool:
        """Whether all values are numbers."""
        return bool(self.values) and all(_NUMBER.fullmatch(value) for value in self.values)

    @property
    def binary(self) -> bool:
        """Whether all values are 0 or 1."""
        return bool(self.values) and {float(value) for value in self.values if self.number} in (
            {0.0, 1.0},
            {0.0},
            {1.0},
        )

    @property
    def list_separator(self) -> str:
        """What separates the values of a list; empty where the column holds none."""
        for each in LIST_SEPARATORS:
            having = [value for value in self.values if each in value]
            # A title has blanks after its commas, an interval such as "(0,10]" has brackets.
            if len(having) > LIST_SHARE * len(self.values) and not any(
                f"{each} " in value or value[0] in "([" for value in having
            ):
                return each
        return ""

    @property
    def most(self) -> int:
        """The most values of a list."""
        separator = self.list_separator or "\x1f"
        return max((value.count(separator) + 1 for value in self.values), default=1)

    @property
    def time_format(self) -> str:
        """The form of times that are written as texts; empty where the values are none."""
        for each in TIME_FORMATS:
            try:
                for value in self.values:
                    datetime.strptime(value, each)
            except ValueError:
                continue
            return each if self.values else ""
        return ""


@dataclass(frozen=True)
class Sampled:
    """One file by its first rows."""

    path: Path
    form: Form
    has_header: bool
    parquet: bool
    columns: tuple[Profile, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)


def sample(path: Path) -> Sampled:
    """The first rows of a file.

    Raises:
        MailError: it cannot be read, or is no table.
    """
    if not path.is_file():
        raise MailError(f"{path}: is not a file. Expected CSV, another separated text, or Parquet.")
    if path.suffix in PARQUET:
        return _parquet(path)
    try:
        form, rows = _texts(path)
    except (OSError, EOFError, csv.Error) as error:
        raise MailError(f"{path}: cannot be read ({error}).") from error
    has_header = _is_header(rows)
    known = KNOWN_COLUMNS.get(path.name, ())
    if has_header:
        names = [name.strip() for name in rows[0]]
    else:
        names = list(known) if len(known) == len(rows[0]) else [f"column_{place + 1}" for place in range(len(rows[0]))]
    body = rows[1:] if has_header else rows
    columns = (_profile(name, [row[place] for row in body]) for place, name in enumerate(names))
    return Sampled(path, form, has_header, False, tuple(columns))


def _profile(name: str, values: Sequence[str]) -> Profile:
    found = tuple(text for text in MISSING if text in values)
    return Profile(name, tuple(value for value in values if value and value not in MISSING), found)


def _texts(path: Path) -> tuple[Form, list[list[str]]]:
    """The form that gives most rows of several fields, as many each; and these rows."""
    encoding = "utf-8"
    lines = _lines(path, encoding)
    if any("\ufffd" in line for line in lines):
        encoding = "latin-1"
        lines = _lines(path, encoding)
    if not lines:
        raise MailError(f"{path}: the file is empty. Expected rows.")
    for separator in SEPARATORS:
        for quote in ('"', "") if len(separator) == 1 else ("",):
            form = Form(separator, encoding, quote)
            rows = [split_line(line, form) for line in lines]
            if len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
                return form, rows
    raise MailError(
        f"{path}: no separator splits its first {len(lines):,} lines into as many fields each; the first is "
        f"{lines[0][:100]!r}. Expected one of {', '.join(map(repr, SEPARATORS))}."
    )


def _lines(path: Path, encoding: str) -> list[str]:
    with open_text(path, encoding) as file:
        read = (file.readline(LONGEST).rstrip("\r\n") for _ in range(LOOKED_AT))
        return [line for line in islice(read, LOOKED_AT) if line.strip()]


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: texts that differ, over a column of numbers or of repeated texts."""
    first, body = rows[0], rows[1:]
    if not all(re.match(r"[^\W\d]", cell) for cell in first) or len(set(first)) < len(first) or not body:
        return False
    below = [{row[place] for row in body} for place in range(len(first))]
    return all(cell not in values for cell, values in zip(first, below, strict=True))


def _parquet(path: Path) -> Sampled:
    try:
        file = pq.ParquetFile(path)
        batch = next(file.iter_batches(LOOKED_AT), None)
        table = pa.Table.from_batches([batch]) if batch is not None else file.schema_arrow.empty_table()
    except (OSError, pa.ArrowException) as error:
        raise MailError(f"{path}: cannot be read as Parquet ({error}).") from error
    columns = []
    for name in table.column_names:
        kind, held = table[name].type, [value for value in table[name].to_pylist() if value is not None]
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        texts = [
            "|".join(map(str, value)) if lists else str(int(value) if value is True or value is False else value)
            for value in held
        ]
        times = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        columns.append(Profile(name, tuple(texts), (), lists, times))
    return Sampled(path, Form(), False, True, tuple(columns))
