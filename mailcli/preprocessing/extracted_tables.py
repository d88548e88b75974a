"""What extraction leaves for the steps after it: checked tables in memory, long logs in Parquet by bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: Numbers in the column `fault` of rows that are counted, but neither used as they are nor faulty: `where` is false, or
#: the row is unnested into the rows of a list. Each has the bucket of its number.
FILTERED, UNNESTED = -4, -5
#: Buckets of rows that the dataset will not have: unusable; of a user without impressions; not before the user's last
#: impression. Buckets of users are numbered from 0.
REJECTED, NO_IMPRESSION, TOO_LATE = -1, -2, -3


@dataclass(frozen=True)
class ExtractedTables:
    """The raw tables, typed and checked."""

    profiles: pa.Table
    """The user table, each user once."""
    features: pa.Table
    """The item table, each item once."""
    users: pa.Table
    """The impressions' users in the dataset's order: `user, row, bucket, last`, clicks and impressions by split."""
    items: pa.Table
    """Items of table and impressions in the dataset's order: `item, item_row, impressions, known` (by the table)."""
    impressions: Path
    """Impressions below `bucket=N`: `row, item_row, time`, context fields, labels, `split`."""
    behaviors: Path
    """Behaviors before their user's last impression below `bucket=N`: `row, time, action`, behavior fields."""
    facts: dict[str, int]
    """Rows and distinct values, by the names of RawData.official."""
    ignored: dict[int, int]
    """How many behaviors are in the buckets NO_IMPRESSION and TOO_LATE."""


def count_rows(path: Path) -> int:
    """Rows of a Parquet file, or of those below a folder; 0 if there is nothing."""
    files = [path] if path.is_file() else path.rglob("*.parquet")
    return sum(pq.ParquetFile(file).metadata.num_rows for file in files)


def read_pieces(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of a Parquet file, or of those directly in a folder, some rows at a time; nothing if there is nothing."""
    for file in [path] if path.is_file() else sorted(path.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(columns=columns):
            yield pa.Table.from_batches([batch])
