"""Vocabularies: from a raw value to its id, fitted on what the training split shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID

#: Stands for a missing value among codes; never taken in, so its id is UNKNOWN.
MISSING = np.iinfo(np.int64).min

Codes = NDArray[np.int64]


class VocabularyBuilder:
    """Values of one vocabulary: first turned to codes, then all seen, at last numbered.

    Whole numbers are their own codes; texts get codes in order of appearance, so that long columns hold numbers only.
    Ids are given in ascending order of the value, hence do not depend on the order of rows, files or buckets: first to
    the values that training shows, which are the vocabulary, then to the others.
    """

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._trained: Codes = np.empty(0, np.int64)
        self._others: Codes = np.empty(0, np.int64)
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
        """Take values in: those of which `trained` is true into the vocabulary, because training impressions show them.

        Raises:
            RuntimeError: ids were given already, and would be others now.
        """
        if self._index is not None:
            raise RuntimeError("a vocabulary that has given ids cannot see more values")
        self._trained = _joined(self._trained, codes[trained])
        self._others = _joined(self._others, codes[~trained])

    def values(self) -> NDArray:
        """The vocabulary: raw values in ascending order; the value at index i has id FIRST_ID + i."""
        return self._sorted(self._trained)[0]

    def unseen(self) -> NDArray:
        """The values that training does not show, ascending; their ids go on where those of the vocabulary end."""
        return self._sorted(self._only_others)[0]

    @property
    def _only_others(self) -> Codes:
        return np.setdiff1d(self._others, self._trained, assume_unique=True)

    def ids(self, codes: Codes) -> NDArray[np.int64]:
        """The ids of codes that were seen; UNKNOWN for a missing value. Those from len(self) on are unseen values'."""
        # get_indexer says -1 for what it lacks, and FIRST_ID - 1 is UNKNOWN.
        return self._numbered().get_indexer(pd.Index(codes)) + FIRST_ID

    @property
    def total(self) -> int:
        """How many ids there are, those of unseen values included."""
        return FIRST_ID + len(self._numbered())

    def _numbered(self) -> pd.Index:
        """The codes in the order of their ids."""
        if self._index is None:
            both = [self._sorted(each)[1] for each in (self._trained, self._only_others)]
            self._index = pd.Index(np.concatenate(both))
        return self._index

    def _sorted(self, codes: Codes) -> tuple[NDArray, Codes]:
        """Raw values in ascending order, and their codes."""
        if not self._is_text:
            return codes, codes
        texts = np.array(list(self._texts), dtype=np.str_)[codes]
        order = np.argsort(texts)
        return texts[order], codes[order]

    def __len__(self) -> int:
        """How many ids the vocabulary has, padding and unknown included."""
        return FIRST_ID + len(self._trained)


def _joined(known: Codes, codes: Codes) -> Codes:
    """The different codes of both, ascending, without MISSING."""
    fresh = pd.unique(codes)
    return np.union1d(known, fresh[fresh != MISSING])
