"""The first rows of one raw file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

#: Rows that are examined, and values of all columns together (ours).
SAMPLE_ROWS, SAMPLE_VALUES = 10_000, 4_000_000


def sampled_rows(columns: int) -> int:
    """How many rows of a file with this many columns are examined."""
    return max(min(SAMPLE_ROWS, SAMPLE_VALUES // max(columns, 1)), 1)


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
