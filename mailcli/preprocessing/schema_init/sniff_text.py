"""Samples a text file: separator, quotes, encoding and header line are found by looking at the first rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path

from mailcli.errors import MAX_QUOTED, MailError
from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_file.text_file import (
    LINE_LIMIT,
    SEPARATORS,
    is_blank,
    looks_like,
    open_text,
    read_rows,
    utf_16_order,
)
from mailcli.preprocessing.schema_init.column_profile import MISSING, ColumnProfile
from mailcli.preprocessing.schema_init.file_sample import SAMPLE_ROWS, FileSample, sampled_rows

#: Bytes that are characters in windows-1252, such as curly quotes, but not in latin-1.
_NO_LATIN_1 = re.compile("[\x80-\x9f]")
#: Names begin so.
_WORD = re.compile(r"[^\W\d]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")
#: What files write in place of a missing value, in lower case; no name of a column.
_NO_VALUES = {"", "na", "n/a", "nan", "null", "none", "nil", "unknown"}
#: GroupLens' and MIND's files have no header line; these are the names in their descriptions.
KNOWN_COLUMNS = {
    "users.dat": ("UserID", "Gender", "Age", "Occupation", "Zip-code"),
    "movies.dat": ("MovieID", "Title", "Genres"),
    "ratings.dat": ("UserID", "MovieID", "Rating", "Timestamp"),
    "u.data": ("user_id", "item_id", "rating", "timestamp"),
    "behaviors.tsv": ("impression_id", "user_id", "time", "history", "impressions"),
    "news.tsv": (
        "news_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities",
    ),
    "u.user": ("user_id", "age", "gender", "occupation", "zip_code"),
}  # fmt: skip


def sample_text(path: Path) -> FileSample:
    """The first rows of a text file (MailError: it is not a table, or has no rows)."""
    text_format, rows = _find_format(path)
    has_header = _is_header(rows)
    body = rows[1:] if has_header else rows
    if not body:
        raise MailError(f"{path}: has no row below the header line. Expected rows.")
    count = len(rows[0])
    known = KNOWN_COLUMNS.get(path.name, ())
    if has_header:
        names = [name.strip() for name in rows[0]]
    else:
        names = list(known) if len(known) == count else [f"column_{number + 1}" for number in range(count)]
    columns = (_profile(name, [row[number] for row in body]) for number, name in enumerate(names))
    return FileSample(path, text_format, has_header, False, tuple(columns))


def _profile(name: str, values: Sequence[str]) -> ColumnProfile:
    missing = tuple(text for text in MISSING if text in values)
    cells = tuple("" if value in MISSING else value for value in values)
    return ColumnProfile(name, tuple(filter(None, cells)), missing, cells=cells)


def _find_format(path: Path) -> tuple[TextFormat, list[list[str]]]:
    """The first format that splits all rows into equally many fields, more than one; and these rows."""
    encoding, lines = _decode(path)
    if not lines:
        raise MailError(f"{path}: the file is empty. Expected rows.")
    if "\0" in lines[0]:
        raise MailError(
            f"{path}: contains zero bytes, so it is not text. Expected CSV or other separated text (plain or .gz), or "
            "Parquet with a name that ends in .parquet; decompress it, or save it as UTF-8."
        )
    for separator in SEPARATORS:
        for quote in ('"', "") if len(separator) == 1 else ("",):
            text_format = TextFormat(separator, encoding, quote)
            rows = _rows(path, text_format)
            if rows:
                return text_format, rows
    raise MailError(
        f"{path}: no separator splits its first {len(lines):,} lines into the same number of fields; the first line is "
        f"{lines[0][:MAX_QUOTED]!r}. Expected one of {', '.join(map(repr, SEPARATORS))}."
    )


def _decode(path: Path) -> tuple[str, list[str]]:
    """The encoding and the first lines that are not blank."""
    order = utf_16_order(path)
    if order == "big":
        raise MailError(f"{path}: is big-endian UTF-16, which cannot be read. Save it as UTF-8.")
    encoding = "utf-16" if order else "utf-8"
    lines = _first_lines(path, encoding)
    if encoding == "utf-8" and any("\ufffd" in line for line in lines) and not _is_utf_8(path):
        encoding = "gb18030" if looks_like(path, "gb18030") else "latin-1"
        lines = _first_lines(path, encoding)
        if encoding == "latin-1" and any(_NO_LATIN_1.search(line) for line in lines):
            encoding = "windows-1252"
            lines = _first_lines(path, encoding)
    return encoding, lines


def _is_utf_8(path: Path) -> bool:
    """Whether the first lines are UTF-8: the character that stands for other bytes may be in the file itself."""
    try:
        _first_lines(path, "utf-8", "strict")
    except UnicodeDecodeError:
        return False
    return True


def _first_lines(path: Path, encoding: str, errors: str = "replace") -> list[str]:
    with open_text(path, encoding, errors) as file:
        lines = (file.readline(LINE_LIMIT).rstrip("\r\n") for _ in range(SAMPLE_ROWS))
        return [line for line in lines if line.strip()]


def _rows(path: Path, text_format: TextFormat) -> list[list[str]]:
    """The first rows; none if they do not have equally many fields, more than one."""
    rows: list[list[str]] = []
    with open_text(path, text_format.encoding) as file:
        # As strict as DuckDB.
        filled = (row for row in read_rows(file, text_format, strict=True) if not is_blank(row))
        try:
            for row in islice(filled, SAMPLE_ROWS):
                if len(row) < 2 or len(row) != len(rows[0] if rows else row):
                    return []
                rows.append(row)
                if len(rows) > sampled_rows(len(row)):
                    break
        except csv.Error:  # these are not quotes
            return []
    return rows


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: with words that do not occur below them.

    A name may be missing above row numbers (as pandas writes them) and above nothing (where lines end in a separator).
    A few names may be no words, such as 7d_segment or 2020, if there is other text above numbers.
    """
    below = [{row[number] for row in rows[1:]} for number in range(len(rows[0]))]
    columns = list(zip(rows[0], below, strict=True))
    words = [(cell, values) for cell, values in columns if _WORD.match(cell) and cell not in values]
    others = [(cell, values) for cell, values in columns if not _WORD.match(cell)]
    if len(words) + len(others) < len(columns) or not words:
        return False
    # Other text above numbers is a name: in a row of values, it would be a number or missing, too.
    has_text_above_numbers = any(not _is_number_or_missing(cell) and _are_numbers(values) for cell, values in columns)
    may_be_others = has_text_above_numbers and len(words) > len(others)
    return all(
        all(map(_needs_no_name, values)) if not cell else may_be_others and cell not in values
        for cell, values in others
    )


def _are_numbers(values: Collection[str]) -> bool:
    """Whether all values but missing ones are numbers, and there are some."""
    return all(map(_is_number_or_missing, values)) and any(map(_NUMBER.fullmatch, values))


def _is_number_or_missing(value: str) -> bool:
    return value.lower() in _NO_VALUES or bool(_NUMBER.fullmatch(value))


def _needs_no_name(value: str) -> bool:
    return not value or value.isdecimal()
