"""Logistic regression on ids and attributes."""

from __future__ import annotations

from mailcli.data.dataset import Dataset
from mailcli.data.schema import Field
from mailcli.trivial._logistic import LogisticModel


class TrivialRow(LogisticModel):
    """Logistic regression on all ids and attributes of user, item and context (Richardson et al., WWW 2007)."""

    def fields(self, dataset: Dataset) -> list[Field]:
        """All but the behaviors'."""
        return [field for field in dataset.schema.fields if field.group != "behavior"]
