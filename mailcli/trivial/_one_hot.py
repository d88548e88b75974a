"""Fields as columns of zeros and ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, Field
from mailcli.errors import MailError


def attribute_fields(dataset: Dataset) -> list[Field]:
    """The attributes that are not the user's id (MailError if there are none)."""
    schema = dataset.schema
    fields = [field for field in schema.group("attributes") if field.vocabulary != schema.user]
    if not fields:
        raise MailError(
            f"dataset '{dataset.name}': its users have no attributes but their id, from which nothing can be "
            "predicted for new users."
        )
    return fields


def one_hot(dataset: Dataset, columns: Sequence[tuple[NDArray, Field]]) -> csr_matrix:
    """[rows, values of all fields], 1 where a row has a value; unknown and missing values have no column.

    Args:
        dataset: whose vocabularies number the values.
        columns: the ids of some rows, [rows] or [rows, values], for each field.
    """
    return csr_matrix(hstack([_one_hot(ids, dataset.vocabulary_sizes[field.vocabulary]) for ids, field in columns]))


def _one_hot(ids: NDArray, size: int) -> csr_matrix:
    ids = ids.reshape(len(ids), -1).astype(np.int64)
    rows, places = np.nonzero(ids >= FIRST_ID)
    return csr_matrix((np.ones(len(rows)), (rows, ids[rows, places] - FIRST_ID)), (len(ids), size - FIRST_ID))
