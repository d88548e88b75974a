"""Whether every row of the raw files was used or set aside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from mailcli.errors import MailError
from mailcli.preprocessing.raw_file import RawFile
from mailcli.preprocessing.row_count import RowCounter, RowFormat
from mailcli.preprocessing.sources._base import RawData


class RowTally:
    """Counts the rows of all raw files, and compares them with the rows that were read.

    Args:
        source: the raw data.
    """

    def __init__(self, source: RawData) -> None:
        self._files = {table: file for table, file in source.raw_files.items() if table not in source.derived}
        self._counters: dict[Path, dict[RowFormat, RowCounter]] = {}
        for file in self._files.values():
            for path, row_format in file.row_formats.items():
                if row_format:
                    self._counters.setdefault(path, {})[row_format] = RowCounter(row_format)

    @property
    def has_quotes(self) -> bool:
        """Whether quotes have a meaning in any of the files."""
        return any(row_format.quote for counters in self._counters.values() for row_format in counters)

    def feed(self, path: Path, piece: bytes) -> None:
        """Take the next bytes of a file, decompressed; an empty piece is its end."""
        for counter in self._counters.get(path, {}).values():
            counter.feed(piece) if piece else counter.finish()

    def check_quotes(self) -> None:
        """Refuse a quote that swallows rows (MailError); call it at the end of all files."""
        for file in self._files.values():
            for path, row_format in file.row_formats.items():
                quote = self._counters[path][row_format].open_quote if row_format else None
                if row_format and quote:
                    end = (
                        f"is closed in line {quote.closed_in}, before more text"
                        if quote.closed_in
                        else "is never closed"
                    )
                    raise MailError(
                        f"{path}, line {quote.line}: a value begins with a quote ({row_format.quote}) that {end}, so "
                        "the rows after it become part of the value. Expected quotes around whole values. Correct the "
                        f"line{_without_quotes(file, 'this file')}."
                    )

    def notes(self) -> list[str]:
        """On files in which lines are part of a value, since two stray quotes would swallow rows in the same way."""
        return [
            f"{_line_breaks(counter, path)}: the text before and after it is one row. If they are separate rows, "
            + (f'set {file.key}.quote = ""' if file.key else "remove the quotes")
            for file in self._files.values()
            for path, row_format in file.row_formats.items()
            if row_format and (counter := self._counters[path][row_format]).line_breaks
        ]

    def compare(self, rows_read: Mapping[str, int]) -> None:
        """Refuse files with rows that were neither used nor set aside (MailError); call it at the end of all files.

        Args:
            rows_read: the rows of each table that were used or set aside.
        """
        self.check_quotes()
        for table, file in self._files.items():
            rows = {path: self._rows(path, row_format) for path, row_format in file.row_formats.items()}
            if sum(rows.values()) != rows_read[table]:
                raise MailError(self._difference(file, rows, rows_read[table]))

    def _rows(self, path: Path, row_format: RowFormat | None) -> int:
        return self._counters[path][row_format].rows if row_format else int(pq.read_metadata(path).num_rows)

    @staticmethod
    def _difference(file: RawFile, rows: Mapping[Path, int], rows_read: int) -> str:
        path, total = next(iter(rows)), sum(rows.values())
        more = f" (and {len(rows) - 1:,} more files)" if len(rows) > 1 else ""
        quote = next((row_format.quote for row_format in file.row_formats.values() if row_format), "")
        hint = _without_quotes(file, "them") if quote else ""
        return (
            f"{path}{more}: has {total:,} rows, but {rows_read:,} were read. Expected all of them. Look for faulty "
            f"quotes and line endings{hint}."
        )


def _without_quotes(file: RawFile, name: str) -> str:
    """How a schema file says that quotes are characters like all others; empty for files without a schema file."""
    return f'; or set {file.key}.quote = "", if quotes have no meaning in {name}' if file.key else ""


def _line_breaks(counter: RowCounter, path: Path) -> str:
    if counter.line_breaks == 1:
        return f"a line break is within quotes in {path.name}, line {counter.first_line_break:,}"
    first = f"{path.name}, line {counter.first_line_break:,}"
    return f"{counter.line_breaks:,} line breaks are within quotes, the first in {first}"
