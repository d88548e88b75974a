"""Files of impressions to score, CSV or Parquet: read a piece at a time, every fault named by row and column."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.preprocessing.csv_file import LONGEST
from mailcli.serving.value_checks import Faults, RequiredColumn, decode_texts, fits, is_bytes, shown

FORMS = (".csv", ".parquet")
#: Bytes that are read at once: no row can be longer (ours).
BLOCK = 16 << 20
#: What other programs write in place of a comma.
_SEPARATORS = (";", "\t", "|")
_ONE_ROW = (
    "one value for each name of the header; texts with a comma or a line break stand in quotes, which are closed."
)


def check_form(path: Path) -> None:
    """Refuse a file's name that does not tell its form (MailError)."""
    if path.suffix not in FORMS:
        raise MailError(f"{path}: the name should end in {' or '.join(FORMS)}, which tells the form of the file.")


class ImpressionFile:
    """A file of impressions.

    Args:
        path: a `.csv` with a header, or a `.parquet`.

    Raises:
        MailError: it is missing, empty, or neither; or its header has a name twice.
    """

    def __init__(self, path: Path) -> None:
        check_form(path)
        if not path.is_file():
            raise MailError(f"{path}: {'is not a file' if path.exists() else 'there is no such file'}.")
        self.path = path
        self._is_csv = path.suffix == ".csv"
        self._has_rows = True
        try:
            # Values of a CSV stay the texts that they are.
            names = self._header() if self._is_csv else []
            self.schema = pa.schema([(name, pa.string()) for name in names]) if names else pq.read_schema(path)
        except UnicodeError as error:
            raise MailError(f"{path}: the header is not UTF-8 ({error}). Save the file in that encoding.") from error
        except (OSError, csv.Error, pa.ArrowInvalid) as error:
            raise _unreadable(path, error) from error
        self.columns: list[str] = self.schema.names
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise MailError(
                f"{path}: more than one column is named {quoted(map(shown, twice))}. Expected each name once."
            )

    def _header(self) -> list[str]:
        """The names of a CSV, of the first line that is not empty."""
        with open(self.path, "rb") as file:
            names = next(csv.reader(_lines(file)), [])
            self._has_rows = bool(file.read(1))
        if not names:
            raise MailError(f"{self.path}: the file is empty. Expected a header line and rows.")
        return names

    def require(self, needed: list[RequiredColumn]) -> None:
        """Refuse a file that lacks a column, or has one of a type that cannot be (MailError tells of all)."""
        lost = [each.name for each in needed if each.name not in self.columns]
        if lost:
            raise MailError(f"{self.path}: {self._told_lost(lost, needed)}")
        wrong = [each for each in needed if not fits(self.schema.field(each.name).type, each)]
        if wrong:
            told = "; ".join(f"'{n.name}' holds {self.schema.field(n.name).type}, expected {n.expected}" for n in wrong)
            raise MailError(f"{self.path}: {told}.")

    def _told_lost(self, lost: list[str], needed: list[RequiredColumn]) -> str:
        expected = [each.name for each in needed]
        used = next((mark for mark in _SEPARATORS if mark in self.columns[0]), None)
        if len(self.columns) == 1 and used:
            return f"the header is {self.columns[0]!r}. Expected ',' between the names and values, not {used!r}."
        others = [name for name in self.columns if name.isprintable() and name not in expected]
        hints = "".join(dict.fromkeys(did_you_mean(name, others) for name in lost))
        columns = ", ".join(map(shown, self.columns))
        return f"no column {quoted(lost)}.{hints} The file's columns are: {columns}. Expected: {', '.join(expected)}."

    def check_writable(self, form: str) -> None:
        """Refuse columns that a result of a form cannot hold: a CSV has texts (MailError)."""
        types = {each.name: each.type for each in self.schema if is_bytes(each.type) or pa.types.is_nested(each.type)}
        if form == ".csv" and types:
            told = "; ".join(f"'{shown(name)}' holds {kind}" for name, kind in types.items())
            raise MailError(
                f"{self.path}: {told}, which a CSV cannot hold. Give the result a name that ends in .parquet."
            )

    def pieces(self, rows: int, faults: Faults) -> Iterator[pa.RecordBatch]:
        """The file in pieces of that many rows or less; rows that are none are left out, and told of to `faults`.

        Raises:
            MailError: the file cannot be read.
        """
        try:
            for batch in self._csv(faults) if self._is_csv else pq.ParquetFile(self.path).iter_batches(rows):
                for start in range(0, len(batch), rows):
                    yield batch.slice(start, rows)
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(self.path, error) from error

    def _csv(self, faults: Faults) -> Iterator[pa.RecordBatch]:
        if not self._has_rows:
            return
        read, left_out, last = 0, 0, b""
        unending = "does not end", f"a row of at most {BLOCK >> 20} MB whose quotes are closed."

        def wrong(row: pa.csv.InvalidRow) -> str:
            nonlocal left_out
            left_out += 1
            # The header has number 1.
            faults.skip(row.number - 1, f"has {row.actual_columns} values", f"{row.expected_columns}, {_ONE_ROW}")
            return "skip"

        # An empty field is a null, and is written as an empty field again.
        convert = pa.csv.ConvertOptions(
            column_types={name: pa.binary() for name in self.columns}, null_values=[""], strings_can_be_null=True
        )
        parse = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=wrong)
        # One thread, so that it knows the number of a faulty row.
        options = pa.csv.ReadOptions(use_threads=False, block_size=BLOCK)
        try:
            with pa.csv.open_csv(self.path, options, parse, convert) as reader:
                for batch in reader:
                    yield self._texts(batch, read + 1, faults)
                    read += len(batch)
                    last = batch.column(len(self.columns) - 1)[-1].as_py() if len(batch) else last
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
            faults.add_row(read + left_out + 1, *unending)
        # Arrow takes what follows an open quote for the last value.
        if b"\n" in (last or b"") and not self._ends_with_quote():
            faults.add_row(read + left_out, *unending)

    def _ends_with_quote(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-min(file.seek(0, os.SEEK_END), 1000), os.SEEK_END)
            return file.read().rstrip(b"\r\n").endswith(b'"')

    def _texts(self, batch: pa.RecordBatch, first_row: int, faults: Faults) -> pa.RecordBatch:
        columns = []
        for name, column in zip(self.columns, batch.columns, strict=True):

            def fault(wrong: pa.Array, told: str, name: str = name, column: pa.Array = column) -> None:
                faults.add(name, told, wrong, column, first_row)

            columns.append(decode_texts(column, fault))
        return pa.record_batch(columns, schema=self.schema)


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file from the first that is not empty."""
    first = True
    while line := file.readline(LONGEST_LINE).decode("utf-8-sig" if first else "utf-8"):
        if not first or line.strip("\r\n"):
            first = False
            yield line


def _unreadable(path: Path, error: Exception) -> MailError:
    return MailError(f"{path}: cannot be read ({error}).")


class ImpressionWriter:
    """Writes tables to a `.csv` or `.parquet`; a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if path.suffix == ".csv":
            self._file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
            # Not Arrow's writer, which puts all texts in quotes.
            self._csv = csv.writer(self._file, lineterminator="\n")
            self._csv.writerow(schema.names)
        else:
            self._file = pq.ParquetWriter(path, schema)

    def __enter__(self) -> ImpressionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: pa.RecordBatch) -> None:
        """Append rows."""
        if isinstance(self._file, pq.ParquetWriter):
            self._file.write_batch(piece)
        else:
            self._csv.writerows(zip(*(_texts(column) for column in piece.columns), strict=True))


def _texts(column: pa.Array) -> list[Any]:
    """What a CSV holds of a column; numbers have as many digits as their type needs, a null none."""
    values: list[Any] = (column.cast(pa.string()) if pa.types.is_floating(column.type) else column).to_pylist()
    return values
