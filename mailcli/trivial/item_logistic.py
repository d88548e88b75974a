"""Logistic regression on the item's id."""

from __future__ import annotations

from mailcli.data.dataset import Dataset
from mailcli.data.schema import Field
from mailcli.trivial._logistic import LogisticModel


class TrivialRow(LogisticModel):
    """Logistic regression on the item's id alone: the field with the most values (Richardson et al., WWW 2007)."""

    def fields(self, dataset: Dataset) -> list[Field]:
        """The field of the items with the largest vocabulary."""
        fields = dataset.schema.group("target")
        return [max(fields, key=lambda field: dataset.vocabulary_sizes[field.vocabulary])]
