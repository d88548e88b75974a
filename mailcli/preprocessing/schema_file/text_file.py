"""Text files with separated values: opening them, reading their lines, splitting these into fields."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from mailcli.errors import repeated
from mailcli.preprocessing.gzip_file import is_gzip
from mailcli.preprocessing.schema_file.definition import TextFormat

#: Common separators, the longest first; ^A is that of Hive's text files.
SEPARATORS = ("::", "\x01", "\t", ";", "|", ",")
#: Longest line in bytes (ours: lists of hundreds of thousands of behaviors fit).
MAX_LINE_BYTES = 4 << 20
# Python's own limit, 131,072 characters of a field, is below this.
csv.field_size_limit(MAX_LINE_BYTES)
#: Largest share of rare characters among all that are not ASCII, if a file is text in GB18030 (ours).
_RARE_SHARE = 0.1
#: Characters that are read at once, of a line or of the beginning of a file (ours).
LINE_LIMIT = 1 << 20


@contextmanager
def open_text(path: Path, encoding: str, errors: str = "replace") -> Iterator[IO[str]]:
    """A text file, plain or .gz, with its own line endings.

    Args:
        path: the file.
        encoding: one of ENCODINGS or COPIED_ENCODINGS; a byte order mark is skipped.
        errors: what to do with invalid bytes, as in `open`.
    """
    opener = gzip.open if is_gzip(path) else open
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with opener(path, "rt", encoding=codec, errors=errors, newline="") as file:
        yield file  # type: ignore[misc]


def first_bytes(path: Path) -> bytes:
    """The first four bytes of a file, plain or .gz: as many as a mark of its format may have."""
    with gzip.open(path) if is_gzip(path) else open(path, "rb") as file:
        return file.read(4)


def first_line_end(path: Path, text_format: TextFormat) -> str:
    """How the first row of a file ends; a line break within quotes is none."""
    with open_text(path, text_format.encoding) as file:
        text = file.read(LINE_LIMIT)
    quote = re.escape(text_format.quote)
    ends = re.search(r"\r?\n", re.sub(f"{quote}[^{quote}]*{quote}", "", text) if quote else text)
    return ends[0] if ends else ""


def utf_16_order(path: Path) -> Literal["", "little", "big"]:
    """The byte order of a UTF-16 file by its byte order mark; empty for any other file."""
    mark = first_bytes(path)[:2]
    return "little" if mark == b"\xff\xfe" else "big" if mark == b"\xfe\xff" else ""


def looks_like(path: Path, encoding: str) -> bool:
    """Whether the beginning of a file holds more than ASCII, and all of it is text in an encoding.

    Many pairs of other bytes are text in GB18030, which is why most of its characters must be common ones, those of
    GB 2312.
    """
    try:
        with open_text(path, encoding, "strict") as file:
            text = file.read(LINE_LIMIT)
    except UnicodeDecodeError:
        return False
    other = [character for character in text if not character.isascii()]
    rare = sum(1 for character in other if encoding == "gb18030" and not character.encode("gb2312", "ignore"))
    return bool(other) and rare <= _RARE_SHARE * len(other)


def read_lines(file: IO[str]) -> Iterator[str]:
    """The lines of a file with their endings; a longer line than LINE_LIMIT comes in pieces."""
    return iter(lambda: file.readline(LINE_LIMIT), "")


def read_rows(file: IO[str], text_format: TextFormat, strict: bool = False) -> Iterator[list[str]]:
    """The rows of a file, split into fields. Within quotes, a row may span lines.

    Args:
        file: a file of `open_text`.
        text_format: separator and quote.
        strict: whether text after a closing quote is an error, as it is for DuckDB.

    Raises:
        csv.Error: a quote is never closed, or `strict` is violated.
    """
    lines = read_lines(file)
    if text_format.quote:
        return csv.reader(lines, delimiter=text_format.separator, quotechar=text_format.quote, strict=strict)
    return (line.rstrip("\r\n").split(text_format.separator) if line.strip() else [] for line in lines)


def is_blank(row: Sequence[str]) -> bool:
    """Whether a row of `read_rows` is a blank line."""
    return not row or (len(row) == 1 and not row[0].strip())


def split_row(text: str, text_format: TextFormat) -> list[str]:
    """The fields of one row (csv.Error: its quotes are wrong)."""
    if not text_format.quote:
        return text.split(text_format.separator)
    lines = io.StringIO(text, newline="")
    return next(csv.reader(lines, delimiter=text_format.separator, quotechar=text_format.quote), [])


def join_row(cells: Sequence[str], text_format: TextFormat) -> str:
    """The text of a row, with quotes around the fields that need them."""
    quote = text_format.quote
    if not quote:
        return text_format.separator.join(cells)
    special = (text_format.separator, quote, "\n", "\r")
    return text_format.separator.join(
        quote + cell.replace(quote, quote * 2) + quote if any(text in cell for text in special) else cell
        for cell in cells
    )


def repeated_name(header: Sequence[str]) -> str | None:
    """The first column name that occurs more than once; None if all are distinct."""
    return next(iter(repeated(header)), None)
