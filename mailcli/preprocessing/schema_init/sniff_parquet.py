"""Samples a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_file.parquet import is_bytes, is_list, is_time
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.file_sample import FileSample, sampled_rows


def sample_parquet(path: Path) -> FileSample:
    """The first rows of a Parquet file (MailError: it cannot be read, or has no rows)."""
    try:
        file = pq.ParquetFile(path)
        batch = next(file.iter_batches(sampled_rows(len(file.schema_arrow))), None)
    except (OSError, pa.ArrowException) as error:
        raise MailError(f"{path}: cannot be read as Parquet ({error}).") from error
    if batch is None or not batch.num_rows:
        raise MailError(f"{path}: has no rows. Expected some.")
    columns = [_profile(name, values) for name, values in zip(batch.schema.names, batch.columns, strict=True)]
    return FileSample(path, TextFormat(), False, True, tuple(columns), tuple(map(str, batch.schema.types)))


def _profile(name: str, column: pa.Array) -> ColumnProfile:
    """A column by its values, in the text form of `mailcli.preprocessing.schema_file.sql`."""
    data_type = column.type
    unusable = _unusable(data_type)
    if unusable:
        return ColumnProfile(name, (), unusable=unusable)
    if is_time(data_type):
        seconds = column.cast(pa.timestamp("s", getattr(data_type, "tz", None)), safe=False).cast(pa.int64())
        return _single(name, ["" if second is None else str(second) for second in seconds.to_pylist()], is_time=True)
    if is_list(data_type):
        values = [value for value in column.to_pylist() if value is not None]
        lists = [{_text(part) for part in value if part is not None} - {""} for value in values]
        texts = tuple("|".join(sorted(parts)) for parts in lists)
        return ColumnProfile(name, texts, lengths=tuple(map(len, lists)))
    # NaN is the one value that differs from itself.
    cells = ["" if value is None or value != value else _text(value) for value in column.to_pylist()]
    return _single(name, cells, is_time=False)


def _single(name: str, cells: Sequence[str], is_time: bool) -> ColumnProfile:
    return ColumnProfile(name, tuple(filter(None, cells)), is_time=is_time, cells=tuple(cells))


def _text(value: Any) -> str:
    return str(int(value) if isinstance(value, bool) else value)


def _unusable(data_type: pa.DataType) -> str:
    """What a column holds other than single values or lists of them; empty if it is usable."""
    if is_list(data_type):
        return "nested lists" if pa.types.is_nested(data_type.value_type) or _unusable(data_type.value_type) else ""
    if pa.types.is_map(data_type):
        return "maps"
    if pa.types.is_nested(data_type):
        return "structs"
    return "bytes" if is_bytes(data_type) else ""
