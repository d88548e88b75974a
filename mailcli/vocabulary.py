"""Vocabularies: from a raw value to its id, fitted on what the training split shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.schema import FIRST_ID

#: Stands for a missing value among codes; never seen, so its id is UNKNOWN.
MISSING = np.iinfo(np.int64).min

Codes = NDArray[np.int64]


class VocabularyBuilder:
    """Values of one vocabulary: first turned to codes, then seen or not, at last numbered.

    Whole numbers are their own codes; texts get codes in order of appearance, so that long columns hold numbers only.
    Ids are given in ascending order of the value, hence do not depend on the order of rows, files or buckets.
    """

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._seen: Codes = np.empty(0, np.int64)
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

    def see(self, codes: Codes) -> None:
        """Take values into the vocabulary: call it with what training impressions show, and nothing else."""
        fresh = pd.unique(codes)
        self._seen = np.union1d(self._seen, fresh[fresh != MISSING])
        self._index = None

    def values(self) -> NDArray:
        """The vocabulary: raw values in ascending order; the value at index i has id FIRST_ID + i."""
        return self._sorted()[0]

    def ids(self, codes: Codes) -> NDArray[np.int64]:
        """The ids of codes; UNKNOWN for what was never seen."""
        if self._index is None:
            self._index = pd.Index(self._sorted()[1])
        # get_indexer says -1 for what it lacks, and FIRST_ID - 1 is UNKNOWN.
        return self._index.get_indexer(pd.Index(codes)) + FIRST_ID

    def fit(self, column: pa.Array | pa.ChunkedArray, shown: NDArray[np.bool_]) -> NDArray[np.int64]:
        """See the shown rows of a column, then give the ids of all its rows."""
        codes = self.codes(column)
        self.see(codes[shown])
        return self.ids(codes)

    def _sorted(self) -> tuple[NDArray, Codes]:
        if not self._is_text:
            return self._seen, self._seen
        texts = np.array(list(self._texts), dtype=np.str_)[self._seen]
        order = np.argsort(texts)
        return texts[order], self._seen[order]

    def __len__(self) -> int:
        return FIRST_ID + len(self._seen)


class Places:
    """Where raw values stand in a column of distinct ones, a vocabulary or a table's raw ids; -1 for what it lacks."""

    def __init__(self, values: NDArray) -> None:
        self.is_text = values.dtype.kind == "U"
        self._index = pd.Index(values.astype(object) if self.is_text else values.astype(np.int64))

    def __call__(self, column: pa.Array) -> NDArray[np.int64]:
        """[rows], of a column of texts or whole numbers, as the values are; -1 for a null."""
        encoded = column.dictionary_encode()
        known = self._index.get_indexer(pd.Index(encoded.dictionary.to_pylist(), dtype=self._index.dtype))
        lookup = np.append(known, -1)
        return lookup[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
