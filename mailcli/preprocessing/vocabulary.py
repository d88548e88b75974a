"""Vocabularies: raw value -> id, fitted on the training split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID
from mailcli.data.texts import text_array

#: The code of a missing value; it is in no vocabulary, so its id is UNKNOWN.
MISSING = np.iinfo(np.int64).min

Codes = NDArray[np.int64]


class VocabularyBuilder:
    """Builds one vocabulary: values become codes (`codes`), are collected (`see`), and get ids (`ids`).

    Whole numbers are their own codes; texts get codes in order of appearance, so that long columns hold only numbers.
    Ids ascend with the value, so they do not depend on the order of rows, files or buckets. Values seen in training
    come first; they are the vocabulary. Unseen values follow.
    """

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._trained: Codes = np.empty(0, np.int64)
        self._other: Codes = np.empty(0, np.int64)
        self._is_text = False
        self._index: pd.Index | None = None

    def codes(self, column: pa.Array | pa.ChunkedArray) -> Codes:
        """The codes of a column of whole numbers or texts; a null becomes MISSING."""
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if pa.types.is_integer(column.type):
            return column.cast(pa.int64()).fill_null(int(MISSING)).to_numpy(zero_copy_only=False)
        self._is_text = True
        encoded = column.cast(pa.string()).dictionary_encode()
        of_text = [self._texts.setdefault(text, len(self._texts)) for text in encoded.dictionary.to_pylist()]
        lookup = np.array([MISSING, *of_text], dtype=np.int64)
        return lookup[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1]

    def see(self, codes: Codes, trained: NDArray[np.bool_]) -> None:
        """Collect values; those with `trained` are in training impressions or their histories, and join the vocabulary.

        Raises:
            RuntimeError: ids have been given, and would now change.
        """
        if self._index is not None:
            raise RuntimeError("a vocabulary that has given ids cannot see more values")
        self._trained = _union(self._trained, codes[trained])
        self._other = _union(self._other, codes[~trained])

    def values(self) -> NDArray:
        """The vocabulary: raw values in ascending order; the value at index i has id FIRST_ID + i."""
        return self._sorted(self._trained)[0]

    def unseen(self) -> NDArray:
        """Values not seen in training, in ascending order; their ids follow those of the vocabulary."""
        return self._sorted(self._unseen_codes)[0]

    @property
    def _unseen_codes(self) -> Codes:
        return np.setdiff1d(self._other, self._trained, assume_unique=True)

    def ids(self, codes: Codes) -> NDArray[np.int64]:
        """The ids of collected codes; UNKNOWN for a missing value. Ids from len(self) on are those of unseen values."""
        # get_indexer returns -1 for codes it lacks, and FIRST_ID - 1 is UNKNOWN.
        return self._numbered().get_indexer(pd.Index(codes)) + FIRST_ID

    @property
    def total(self) -> int:
        """Number of ids, those of unseen values included."""
        return FIRST_ID + len(self._numbered())

    def _numbered(self) -> pd.Index:
        """The codes in the order of their ids."""
        if self._index is None:
            parts = [self._sorted(codes)[1] for codes in (self._trained, self._unseen_codes)]
            self._index = pd.Index(np.concatenate(parts))
        return self._index

    def _sorted(self, codes: Codes) -> tuple[NDArray, Codes]:
        """Raw values in ascending order, and their codes."""
        if not self._is_text:
            return codes, codes
        all_texts = pa.array(list(self._texts), pa.large_string())
        texts = all_texts.take(pa.array(codes))
        order = pc.sort_indices(texts)  # by UTF-8, which is the order of Unicode
        width = pc.max(pc.utf8_length(all_texts)).as_py() or 0
        return text_array(texts.take(order), width), codes[order.to_numpy()]

    def __len__(self) -> int:
        """Number of ids of the vocabulary, padding and unknown included."""
        return FIRST_ID + len(self._trained)


def _union(known: Codes, codes: Codes) -> Codes:
    """The distinct codes of both, in ascending order, without MISSING."""
    new = pd.unique(codes)
    return np.union1d(known, new[new != MISSING])
