"""Parquet files: their names, and what their columns hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

#: Extensions of Parquet files.
PARQUET = (".parquet", ".pq")


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its name."""
    return path.suffix.lower() in PARQUET


def is_list(data_type: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type)


def is_number(data_type: pa.DataType) -> bool:
    """Whether a type holds numbers."""
    return pa.types.is_integer(data_type) or pa.types.is_floating(data_type) or pa.types.is_decimal(data_type)


def is_time(data_type: pa.DataType) -> bool:
    """Whether a column holds times or dates."""
    return pa.types.is_timestamp(data_type) or pa.types.is_date(data_type)


def is_readable(data_type: pa.DataType) -> bool:
    """Whether a column holds single values that can be written as text, or lists of such values."""
    value = data_type.value_type if is_list(data_type) else data_type
    # DuckDB 1.5 reads 1.50 as 1.08e17 where a decimal may have more than 38 digits.
    unreadable = (pa.types.is_nested, pa.types.is_duration, pa.types.is_decimal256, is_bytes)
    return not any(is_kind(value) for is_kind in unreadable)


def is_bytes(data_type: pa.DataType) -> bool:
    """Whether a column holds bytes, which are not text."""
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_kind(data_type) for is_kind in kinds)
