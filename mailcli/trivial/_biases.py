"""Trivial rows of biases: what is the item's, and what is its users'."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._base import CalibratedModel, hidden_users, users_and_items
from mailcli.trivial._outcomes import Outcomes


class BiasModel(CalibratedModel):
    """The item's bias, and that of the user where it may be known: an item is not good because its users are kind."""

    @abstractmethod
    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """What the biases are fitted to."""

    def fit_value(self, dataset: Dataset, view: View) -> None:
        """Fit the biases."""
        self.fitted = self.outcomes(dataset, view)
        self.biases = self.fitted.biases()

    def value(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The item's bias; for users of whom more than attributes may be known, plus their own."""
        user, item = users_and_items(dataset, view)
        own = np.where(hidden_users(view, user), 0, self.biases.user[user])
        return self.biases.item[self.fitted.item_of_row[item]] + own
