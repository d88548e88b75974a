"""Click rate of the item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._base import TrivialModel, training_clicks, users_and_items

#: Impressions with the global click rate that are added to each item's own (ours).
PSEUDO_IMPRESSIONS = 3


class TrivialRow(TrivialModel):
    """Click rate of the item, smoothed by three impressions at the global rate (Wang et al., 2011)."""

    def fit(self, dataset: Dataset, view: View) -> None:
        """Count clicks and impressions of each item."""
        _, item = users_and_items(dataset, view)
        click, items = training_clicks(dataset, view), dataset.counts["items"]
        clicks = np.bincount(item, click, items) + PSEUDO_IMPRESSIONS * click.mean()
        self._rate = clicks / (np.bincount(item, minlength=items) + PSEUDO_IMPRESSIONS)

    def score(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The item's rate; the global one for an item without training impressions."""
        rate: NDArray[np.float64] = self._rate[users_and_items(dataset, view)[1]]
        return rate
