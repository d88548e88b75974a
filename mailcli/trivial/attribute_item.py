"""Attribute group x item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.trivial._interactions import InteractionModel


class TrivialRow(InteractionModel):
    """item-bias, plus what users with the same attribute think of the item, shrunk (Bell and Koren, ICDM 2007)."""

    def item_values(self, dataset: Dataset) -> list[NDArray[np.int64]]:
        """The item itself."""
        return [np.arange(dataset.counts["items"])[:, None]]
