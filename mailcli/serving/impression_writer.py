"""Writes scored impressions to a CSV or Parquet file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

#: Rows or bytes from which a Parquet row group is written (ours: a reader needs memory for one, and is slow with many).
GROUP_ROWS, GROUP_BYTES = 1 << 20, 64 << 20


class _Lines:
    """The lines of csv.writer, ended by a line feed alone.

    Its own ends, a carriage return and a line feed, stay: Python 3.11 quotes of control characters only those in them.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        """Write a line that csv.writer has formatted."""
        self._file.write(line.removesuffix("\r\n") + "\n")


class ImpressionWriter:
    """Writes tables to a `.csv` or `.parquet` file; a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if path.suffix == ".csv":
            self._file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
            # Not Arrow's writer, which quotes all strings.
            self._csv = csv.writer(_Lines(self._file))
            self._csv.writerow(schema.names)
        else:
            self._file = pq.ParquetWriter(path, schema)
        self._group: list[pa.RecordBatch] = []
        """Rows that are not written yet: the next row group of Parquet."""
        self._rows = self._bytes = 0
        """Of these."""

    def __enter__(self) -> ImpressionWriter:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if self._group and error is None:
                self._write_group()
        finally:
            self._file.close()

    def write(self, rows: pa.RecordBatch) -> None:
        """Append rows."""
        if not isinstance(self._file, pq.ParquetWriter):
            self._csv.writerows(zip(*(_csv_values(column) for column in rows.columns), strict=True))
            return
        self._group.append(rows)
        self._rows += len(rows)
        self._bytes += rows.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        assert isinstance(self._file, pq.ParquetWriter)
        self._file.write_table(pa.Table.from_batches(self._group), row_group_size=self._rows)
        self._group, self._rows, self._bytes = [], 0, 0


def _csv_values(column: pa.Array) -> list[Any]:
    """A column as a CSV holds it: floats with as many digits as their type needs, a null as an empty field."""
    values: list[Any]
    try:
        values = (column.cast(pa.string()) if pa.types.is_floating(column.type) else column).to_pylist()
    except OverflowError:
        # Python has no times beyond the year 9999, and Arrow writes them wrongly: their units since 1970.
        values = column.cast(pa.int64()).to_pylist()
    return values
