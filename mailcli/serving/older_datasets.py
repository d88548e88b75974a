"""Datasets of older versions, which do not keep the edges of buckets: the numbers of buckets must be given."""

from __future__ import annotations

from collections.abc import Iterable

from mailcli.data.dataset import Dataset
from mailcli.data.field_definitions import field_definitions
from mailcli.errors import quoted

#: The fields in buckets of the sources without a schema file.
_OF_SOURCE = {"ml-100k": ("age",)}


def bucketed_fields(dataset: Dataset) -> list[str]:
    """The fields of a dataset in buckets whose edges it does not keep."""
    if dataset.keeps_derivations:
        return []
    definitions = field_definitions(dataset).items()
    fields = [name for name, definition in definitions if not {"edges", "quantiles"}.isdisjoint(definition)]
    return [*dict.fromkeys([*_OF_SOURCE.get(dataset.manifest["source"], ()), *fields])]


def bucket_note(dataset: Dataset, names: Iterable[str]) -> str:
    """What to do about fields whose buckets must be given by number."""
    return (
        f"{dataset.folder}: was made by a version that did not keep the edges of buckets, so {quoted(names)} must be "
        "given as the number of a bucket, 0 below the first edge. To give raw numbers, make the dataset again and "
        "train on it."
    )
