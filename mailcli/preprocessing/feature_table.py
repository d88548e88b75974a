"""Users or items on their way into a dataset: raw values of their fields -> ids."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.schema import PADDING, UNKNOWN, Field
from mailcli.data.texts import text_array
from mailcli.errors import MailError
from mailcli.preprocessing.vocabulary import VocabularyBuilder


class FeatureTable(NamedTuple):
    """Users or items in the dataset's order."""

    raw: pa.Array
    """[rows], raw ids."""
    fields: dict[Field, Any]
    """[rows] each, raw values; lists where a field is multi-valued."""
    in_train: NDArray[np.bool_]
    """[rows], whether a training impression has the user or item."""

    def raw_ids(self) -> NDArray:
        """[rows], raw ids as whole numbers or texts."""
        return (
            text_array(self.raw.cast(pa.large_string())) if pa.types.is_string(self.raw.type) else self.raw.to_numpy()
        )

    def add_to(self, vocabularies: dict[str, VocabularyBuilder]) -> None:
        """Add the values of all fields to their vocabularies."""
        for field, column in self.fields.items():
            vocabulary, in_train = vocabularies[field.vocabulary], self.in_train
            if field.values > 1:
                column, rows = _flatten(field, column)
                in_train = in_train[rows]
            vocabulary.see(vocabulary.codes(column), in_train)


def field_ids(field: Field, vocabulary: VocabularyBuilder, column: Any) -> NDArray:
    """The ids of a field: [rows], or [rows, values] for a multi-valued one."""
    return _ids_of_lists(field, vocabulary, column) if field.values > 1 else vocabulary.ids(vocabulary.codes(column))


def positions(raw: pa.Array, table: pa.ChunkedArray) -> pa.Array:
    """Where each raw id is in a table's column of ids; null where it is not."""
    return pc.index_in(raw, value_set=table.cast(raw.type).combine_chunks())


def _flatten(field: Field, column: Any) -> tuple[pa.Array, NDArray[np.int64]]:
    """All values of a column of lists, and the row of each (MailError for a list that is too long)."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    length = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if length.max(initial=0) > field.values:
        raise MailError(f"field '{field.name}': a row has {length.max()} values. Expected at most {field.values}.")
    return column.flatten(), np.repeat(np.arange(len(column)), length)


def _ids_of_lists(field: Field, vocabulary: VocabularyBuilder, column: Any) -> NDArray:
    """[rows, values]: unseen values, then ascending ids, then PADDING; an empty or missing list is one UNKNOWN.

    For a reader that maps unseen values to UNKNOWN, the ids of a row are ascending, too.
    """
    values, rows = _flatten(field, column)
    empty = np.iinfo(np.int64).max
    ids = np.full((len(column), field.values), empty)
    first = np.searchsorted(rows, np.arange(len(column)))
    ids[rows, np.arange(len(rows)) - first[rows]] = vocabulary.ids(vocabulary.codes(values))
    ids[np.bincount(rows, minlength=len(column)) == 0, 0] = UNKNOWN
    ids.sort(axis=1)
    as_read = np.where((ids >= len(vocabulary)) & (ids < empty), UNKNOWN, ids)
    ids = np.take_along_axis(ids, np.argsort(as_read, axis=1, kind="stable"), axis=1)
    return np.where(ids == empty, PADDING, ids)


def standardize(name: str, column: pa.ChunkedArray, train_items: NDArray) -> tuple[NDArray[np.float32], float, float]:
    """log(1 + x), standardized over the training impressions; a missing value becomes the mean.

    Args:
        name: of the dense feature.
        column: [items], its values.
        train_items: [training impressions], the row of each one's item.

    Returns:
        ([items], mean, standard deviation), the two of log(1 + x).

    Raises:
        MailError: a value is negative or too far from the others, or no training impression has one.
    """
    raw = column.to_numpy().astype(np.float64)
    if (raw < 0).any():
        raise MailError(f"{name}: an item has {raw[raw < 0][0]:g}. Expected 0 or more, of which log(1 + x) is used.")
    values = np.log1p(raw)
    in_train = values[train_items]
    if np.isnan(in_train).all():
        raise MailError(f"no item of a training impression has a {name}. Expected item rows for the impressions.")
    mean = float(np.nanmean(in_train))
    # The deviation of equal values is not 0 but a rounding error.
    std = float(np.nanstd(in_train)) if np.nanmin(in_train) < np.nanmax(in_train) else 1.0
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        standardized = np.nan_to_num((values - mean) / std).astype(np.float32)
    is_too_far = ~np.isfinite(standardized)
    if is_too_far.any():
        raise MailError(
            f"{name}: an item has {raw[is_too_far].max():g}, and all training impressions have about "
            f"{np.expm1(mean):.3g}, so its standardized value does not fit into 32 bits. Expected values that differ "
            "less, or training values that differ more. Check the column, or leave the feature out."
        )
    return standardized, mean, std
