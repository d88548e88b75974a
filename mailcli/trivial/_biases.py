"""Trivial rows of biases: what is the item's, and what is its users'."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._base import CalibratedModel, users_and_items
from mailcli.trivial._outcomes import Outcomes


class BiasModel(CalibratedModel):
    """The item's bias, and that of the user: an item is not good because its users are kind.

    What a user gave in training is known as long as the id is: a network learns it into the id's embedding. So under
    protocol paper a new user's clicks count, as they do for networks; grades are behavior, which is hidden, and make no
    bias.
    """

    @abstractmethod
    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """What the biases are fitted to."""

    def fit_value(self, dataset: Dataset, view: View) -> None:
        """Fit the biases."""
        self.fitted = self.outcomes(dataset, view)
        self.biases = self.fitted.biases()

    def value(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The item's bias; plus the user's own, unless the id is hidden."""
        user, item = users_and_items(dataset, view)
        own = np.where(view.anonymous[user], 0, self.biases.user[user])
        return self.biases.item[self.fitted.item_of_row[item]] + own
