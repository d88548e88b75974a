"""Attribute group x category."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID
from mailcli.errors import MailError
from mailcli.trivial._interactions import InteractionModel, known_values


class TrivialRow(InteractionModel):
    """item-bias, plus what users with the same attribute think of its category, shrunk (Bell and Koren, ICDM 2007)."""

    def item_values(self, dataset: Dataset) -> list[NDArray[np.int64]]:
        """The fields of the items that group them: with at most half as many values as there are items (ours).

        Raises:
            MailError: there is none.
        """
        items = dataset.counts["items"]
        fields = [
            field
            for field in dataset.schema.group("target")
            if 2 * (dataset.vocabulary_sizes[field.vocabulary] - FIRST_ID) <= items
        ]
        if not fields:
            raise MailError(
                f"dataset '{dataset.name}': no field of its items groups them: each has a value for every second "
                "item or more. Expected a category, such as genres."
            )
        return [known_values(dataset.column("items", field.name)[np.arange(items)]) for field in fields]
