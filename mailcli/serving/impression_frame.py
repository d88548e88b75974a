"""Impressions in a DataFrame."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import pandas as pd
import pyarrow as pa

from mailcli.errors import MailError
from mailcli.serving.faults import Faults, printable
from mailcli.serving.impression_source import ImpressionSource, check_distinct

_LABEL = "DataFrame"


class ImpressionFrame(ImpressionSource):
    """A DataFrame of impressions.

    Args:
        frame: its rows count from 1 in messages, whatever its index is.
        names: the columns that may be read; others may hold anything.

    Raises:
        MailError: a name occurs twice or is in the index, or Arrow cannot hold a column's values.
    """

    noun = _LABEL

    def __init__(self, frame: pd.DataFrame, names: Collection[str]) -> None:
        read = [name for name in frame.columns if name in names]
        in_index = [name for name in names if name in frame.index.names and name not in read]
        if in_index:
            name = printable(in_index[0])
            raise MailError(f"{_LABEL}: '{name}' is in the index. Make it a column with `reset_index()`.")
        check_distinct(_LABEL, read)
        arrays = {name: _to_arrow(name, frame[name]) for name in read}
        self._table = pa.table(arrays)
        super().__init__(_LABEL, self._table.schema)
        # All of them, for the error about a missing one.
        self.columns = list(map(str, frame.columns))

    def read(self, rows: int, faults: Faults) -> Iterator[pa.RecordBatch]:
        """The rows in batches of at most so many."""
        del faults
        yield from self._table.to_batches(max_chunksize=rows)


def _to_arrow(name: str, column: pd.Series) -> pa.Array:
    try:
        array = pa.Array.from_pandas(column)
    except OverflowError as error:
        raise MailError(
            f"{_LABEL}: column '{printable(name)}' holds a number of more than 64 bits. Expected values as in the raw "
            "files."
        ) from error
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise MailError(
            f"{_LABEL}: column '{printable(name)}' cannot be read ({error}). Expected values of one type, as in the "
            "raw files."
        ) from error
    if pa.types.is_timestamp(array.type) and column.dtype == object:
        _check_zones(name, column)
    if array.null_count == len(array):
        # pandas has no type for a column that is all missing: it takes floats.
        return pa.nulls(len(array))
    # Strings of pandas come in several pieces.
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _check_zones(name: str, column: pd.Series) -> None:
    """Refuse times of which only some have a zone: Arrow would take the others for UTC (MailError)."""
    moments = [value for value in column if isinstance(value, datetime) and not pd.isna(value)]
    if len({moment.tzinfo is None for moment in moments}) > 1:
        raise MailError(
            f"{_LABEL}: column '{printable(name)}' holds times with and without a time zone. Expected a zone for "
            "each, or seconds since 1970."
        )
