"""What groups of users do with groups of items, beyond both biases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.data.schema import FIRST_ID
from mailcli.metrics.biases import PSEUDO_RESIDUALS, shrunk_means
from mailcli.trivial._base import users_and_items
from mailcli.trivial._biases import BiasModel
from mailcli.trivial._one_hot import attribute_fields
from mailcli.trivial._outcomes import Outcomes, click_outcomes

#: Marks a pair with a missing or unknown value.
NO_PAIR = -1


class PairMeans(NamedTuple):
    """Shrunk means of pairs of an attribute's value and a value of the item."""

    pairs: NDArray[np.int64]
    """[p], numbers of pairs, sorted."""
    means: NDArray[np.float64]
    """[p], of what was left to explain."""

    def of(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """[n], the mean over an impression's pairs [n, columns]; 0 for a pair that was not there to learn from."""
        places = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        means = np.where(self.pairs[places] == pairs, self.means[places], 0)
        return means.sum(axis=1) / np.maximum((pairs != NO_PAIR).sum(axis=1), 1)


def fit_pair_means(pairs: NDArray[np.int64], residual: NDArray[np.float64]) -> PairMeans:
    """The shrunk mean residual of each pair.

    Args:
        pairs: [n, columns], NO_PAIR where there is none.
        residual: [n], of each impression.
    """
    impression, column = np.nonzero(pairs != NO_PAIR)
    known, group = np.unique(pairs[impression, column], return_inverse=True)
    if not len(known):
        return PairMeans(np.array([NO_PAIR]), np.zeros(1))
    return PairMeans(known, shrunk_means(group, residual[impression], len(known), PSEUDO_RESIDUALS))


class InteractionModel(BiasModel):
    """item-bias, plus for every attribute and every column of the items the pair's shrunk mean of what is left."""

    @abstractmethod
    def item_values(self, dataset: Dataset) -> list[NDArray[np.int64]]:
        """For each column of the items: [items, values], numbers from 0; NO_PAIR for a missing value."""

    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """Clicks."""
        return click_outcomes(dataset, view)

    def fit_value(self, dataset: Dataset, view: View) -> None:
        """Fit the biases, then pair by pair what is left."""
        super().fit_value(dataset, view)
        residual = self.fitted.residual(self.biases)
        self._means = []
        for pairs in self._pairs(dataset, view):
            self._means.append(fit_pair_means(pairs, residual))
            residual = residual - self._means[-1].of(pairs)

    def value(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The biases and the means of all pairs."""
        value = super().value(dataset, view)
        for means, pairs in zip(self._means, self._pairs(dataset, view), strict=True):
            value = value + means.of(pairs)
        return value

    def _pairs(self, dataset: Dataset, view: View) -> Iterator[NDArray[np.int64]]:
        """For each attribute and column of the items: [impressions, columns], the numbers of their pairs.

        One after the other: together they are many times the training split.
        """
        user, item = users_and_items(dataset, view)
        values = self.item_values(dataset)
        groups = [known_values(dataset.column("users", field.name)[user]) for field in attribute_fields(dataset)]
        for group in groups:
            for of_items in values:
                yield _pair_numbers(group, of_items[item], int(of_items.max()) + 1)


def known_values(ids: NDArray) -> NDArray[np.int64]:
    """[n, values], numbers from 0 of ids [n] or [n, values]; NO_PAIR for a missing or unknown value."""
    ids = ids.reshape(len(ids), -1).astype(np.int64)
    return np.where(ids >= FIRST_ID, ids - FIRST_ID, NO_PAIR)


def _pair_numbers(left: NDArray[np.int64], right: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """[n, columns of left x columns of right]; `size` is above every number in `right`."""
    left, right = left[:, :, None], right[:, None, :]
    pairs = np.where((left == NO_PAIR) | (right == NO_PAIR), NO_PAIR, left * size + right)
    return pairs.reshape(len(pairs), -1)
