"""Reads the impressions of a CSV or Parquet file, some rows at a time; every fault is reported by row and column."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mailcli.errors import MailError, counted
from mailcli.preprocessing.gzip_file import GZIP_START
from mailcli.preprocessing.row_count import RowCounter, RowFormat
from mailcli.preprocessing.schema_file.text_file import first_bytes
from mailcli.serving.faults import Faults, printable
from mailcli.serving.impression_source import ImpressionSource
from mailcli.serving.value_checks import decode_bytes, is_csv_value

FORMATS = (".csv", ".parquet")
#: Bytes that are read at once: no row can be longer (ours).
BLOCK = 16 << 20
_ONE_VALUE_EACH = "one value for each name in the header; quote strings that contain a comma or a line break."
_UNCLOSED = "does not end", f"a row of at most {BLOCK >> 20} MB whose quotes are closed."


def check_format(path: Path) -> None:
    """Refuse a file name that does not say its format (MailError)."""
    if path.suffix not in FORMATS:
        raise MailError(f"{path}: the name must end in {' or '.join(FORMATS)}, which says the file's format.")


class ImpressionFile(ImpressionSource):
    """A file of impressions.

    Args:
        path: a `.csv` with a header, or a `.parquet`.

    Raises:
        MailError: it is missing, empty, of another format, or a name occurs twice in its header.
    """

    noun = "file"

    def __init__(self, path: Path) -> None:
        check_format(path)
        if not path.is_file():
            raise MailError(f"{path}: {'is not a file' if path.exists() else 'there is no such file'}.")
        self.path = path
        self._is_csv = path.suffix == ".csv"
        self._has_rows = True
        try:
            # The values of a CSV stay strings.
            header = self._header() if self._is_csv else []
            # Names without the spaces around them, as preprocessing reads them.
            schema = pa.schema([(name.strip(), pa.string()) for name in header]) if header else pq.read_schema(path)
        except UnicodeError as error:
            raise MailError(f"{path}: the header is not UTF-8 ({error}). Save the file in that encoding.") from error
        except (OSError, csv.Error, pa.ArrowException) as error:
            raise _unreadable(path, error) from error
        self.header: list[str] = header or schema.names
        """The columns' names as the file has them."""
        super().__init__(str(path), schema)

    def _header(self) -> list[str]:
        """The names in a CSV's header, its first line that is not blank."""
        if first_bytes(self.path).startswith(GZIP_START):
            raise MailError(f"{self.path}: is compressed by gzip. Expected a plain CSV: decompress it.")
        with open(self.path, "rb") as file:
            try:
                names = next(csv.reader(_lines(file)), [])
            except csv.Error as error:
                if "new-line character" not in str(error):
                    raise
                raise MailError(f"{self.path}: its lines end in \\r alone. Expected \\n or \\r\\n.") from error
            self._has_rows = bool(file.read(1))
        if not names:
            raise MailError(f"{self.path}: the file is empty. Expected a header line and rows.")
        return names

    def check_writable(self, suffix: str) -> None:
        """Refuse columns that a result of that format cannot hold: a CSV has only text (MailError)."""
        columns = [column for column in self.schema if not is_csv_value(column.type)]
        if suffix == ".csv" and columns:
            listed = "; ".join(f"'{printable(column.name)}' holds {column.type}" for column in columns)
            raise MailError(
                f"{self.path}: {listed}, which a CSV cannot hold. Give the result a name that ends in .parquet."
            )

    def read(self, rows: int, faults: Faults) -> Iterator[pa.RecordBatch]:
        """The file in batches of at most so many rows; malformed rows are skipped and added to `faults`.

        Raises:
            MailError: the file cannot be read.
        """
        try:
            for batch in self._read_csv(faults) if self._is_csv else pq.ParquetFile(self.path).iter_batches(rows):
                for start in range(0, len(batch), rows):
                    yield batch.slice(start, rows)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from error

    def _read_csv(self, faults: Faults) -> Iterator[pa.RecordBatch]:
        if not self._has_rows:
            return
        read, skipped, last_value = 0, 0, b""

        def skip(row: pa.csv.InvalidRow) -> str:
            nonlocal skipped
            skipped += 1
            # Arrow counts the header as row 1.
            problem = f"has {counted(row.actual_columns, 'value')}"
            faults.skip(row.number - 1, problem, f"{row.expected_columns}, {_ONE_VALUE_EACH}")
            return "skip"

        # An empty field is a null, and is written as an empty field again.
        convert = pa.csv.ConvertOptions(
            column_types={name: pa.binary() for name in self.header}, null_values=[""], strings_can_be_null=True
        )
        parse = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
        # Only a single thread knows the numbers of faulty rows.
        options = pa.csv.ReadOptions(use_threads=False, block_size=BLOCK)
        try:
            with pa.csv.open_csv(self.path, options, parse, convert) as reader:
                for batch in reader:
                    yield self._decode(batch, read + 1, faults)
                    read += len(batch)
                    last_value = batch.column(len(self.columns) - 1)[-1].as_py() if len(batch) else last_value
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
            faults.add_row(read + skipped + 1, *_UNCLOSED)
        # Arrow reads all that follows an unclosed quote as the last value.
        if b"\n" in (last_value or b"") and self._has_open_quote():
            faults.add_row(read + skipped, *_UNCLOSED)

    def _has_open_quote(self) -> bool:
        """Whether a quote is never closed, or closed before more text."""
        counter = RowCounter(RowFormat(",", '"', "utf-8", True, len(self.columns)))
        with open(self.path, "rb") as file:
            while piece := file.read(BLOCK):
                counter.feed(piece)
        counter.finish()
        return counter.open_quote is not None

    def _decode(self, batch: pa.RecordBatch, first_row: int, faults: Faults) -> pa.RecordBatch:
        columns = []
        for name, column in zip(self.columns, batch.columns, strict=True):

            def report(wrong: pa.Array, expected: str, name: str = name, column: pa.Array = column) -> None:
                faults.add(name, expected, wrong, column, first_row)

            columns.append(decode_bytes(column, report))
        return pa.record_batch(columns, schema=self.schema)


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file from the first that is not blank."""
    is_first = True
    while line := file.readline(BLOCK).decode("utf-8-sig" if is_first else "utf-8"):
        if not is_first or line.strip("\r\n"):
            is_first = False
            yield line


def _unreadable(path: Path, error: Exception) -> MailError:
    return MailError(f"{path}: cannot be read ({error}).")
