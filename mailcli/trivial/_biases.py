"""Means that are freed of each other: what is the item's, and what is its users'."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._base import CalibratedModel, hidden_users, users_and_items
from mailcli.trivial._outcomes import Outcomes

#: Outcomes of value 0 that are added to each mean's own (ours; as many as the pseudo-clicks of `item-rate`).
PSEUDO_OUTCOMES = 3
#: Passes over items and users (ours): further ones change the AUC on MovieLens-100K by less than .001.
PASSES = 20


class Biases(NamedTuple):
    """An outcome is about mean + user[u] + item[i]."""

    mean: float
    user: NDArray[np.float64]
    item: NDArray[np.float64]

    def residual(self, outcomes: Outcomes) -> NDArray[np.float64]:
        """[outcomes], what the biases leave unexplained."""
        return outcomes.value - self.mean - self.user[outcomes.user] - self.item[outcomes.item]


def fit_biases(outcomes: Outcomes, passes: int = PASSES) -> Biases:
    """The shrunk means of items and of users, in turn, each of what the other leaves of the outcomes."""
    mean = float(outcomes.value.mean())
    centered = outcomes.value - mean
    user, item = np.zeros(outcomes.users), np.zeros(outcomes.items)
    for _ in range(passes):
        item = shrunk_means(outcomes.item, centered - user[outcomes.user], outcomes.items)
        user = shrunk_means(outcomes.user, centered - item[outcomes.item], outcomes.users)
    return Biases(mean, user, item)


def shrunk_means(
    group: NDArray[np.int64], value: NDArray[np.float64], groups: int, zeros: int = PSEUDO_OUTCOMES
) -> NDArray[np.float64]:
    """[groups], the mean of each group's values and of some zeros besides."""
    return np.bincount(group, value, groups) / (np.bincount(group, minlength=groups) + zeros)


class BiasModel(CalibratedModel):
    """The item's bias, and that of the user where it may be known: an item is not good because its users are kind."""

    @abstractmethod
    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """What the biases are fitted to."""

    def fit_value(self, dataset: Dataset, view: View) -> None:
        """Fit the biases."""
        self.fitted = self.outcomes(dataset, view)
        self.biases = fit_biases(self.fitted)

    def value(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The item's bias; for users of whom more than attributes may be known, plus their own."""
        user, item = users_and_items(dataset, view)
        own = np.where(hidden_users(view, user), 0, self.biases.user[user])
        return self.biases.item[self.fitted.item_of_row[item]] + own
