"""The first rows of one raw file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

#: Rows that are looked at (ours).
SAMPLE_ROWS = 10_000


@dataclass(frozen=True)
class FileSample:
    """One file, judged by its first rows."""

    path: Path
    format: TextFormat
    has_header: bool
    parquet: bool
    columns: tuple[ColumnProfile, ...]
    types: tuple[str, ...] = ()
    """Types of Parquet columns; empty for text files."""

    @property
    def names(self) -> tuple[str, ...]:
        """The column names."""
        return tuple(column.name for column in self.columns)
