"""Latent factors of what biases leave, predicted from attributes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.linear_model import Ridge

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.errors import MailError
from mailcli.trivial._base import users_and_items
from mailcli.trivial._biases import BiasModel
from mailcli.trivial._one_hot import attribute_fields, one_hot
from mailcli.utils.truncated_svd import truncated_svd

#: Latent factors, and the ridge penalty of their regression on attributes (ours, of 5 to 20 and 1 to 100 on
#: MovieLens-100K, where none differs from another by .001 AUC).
FACTORS, RIDGE = 10, 10.0


class FactorModel(BiasModel):
    """The biases, plus q_i · p̂(a_u): factors of the residuals by SVD, those of users by ridge regression on a_u."""

    def fit_value(self, dataset: Dataset, view: View) -> None:
        """Fit biases, factors and regression."""
        super().fit_value(dataset, view)
        attributes = _attributes(dataset)
        of_users, self._of_items = _factorize(self._residuals())
        known = np.unique(self.fitted.user)
        self._of_users = Ridge(alpha=RIDGE).fit(attributes[known], of_users[known]).predict(attributes)

    def _residuals(self) -> csr_matrix:
        """[users, items], the mean of what the biases leave; empty where there is no outcome."""
        outcomes = self.fitted
        shape, places = (outcomes.users, outcomes.items), (outcomes.user, outcomes.item)
        sums = coo_matrix((outcomes.residual(self.biases), places), shape).tocsr()
        counts = coo_matrix((np.ones(len(outcomes.user)), places), shape).tocsr()
        # Both sum up what a user gave an item more than once, so they have the same places.
        sums.data /= counts.data
        return sums

    def value(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The biases and the product of the item's factors and those of the user's attributes."""
        user, row = users_and_items(dataset, view)
        products = np.sum(self._of_users[user] * self._of_items[self.fitted.item_of_row[row]], axis=1)
        return super().value(dataset, view) + products


def _attributes(dataset: Dataset) -> csr_matrix:
    users = np.arange(dataset.counts["users"])
    return one_hot(
        dataset, [(dataset.column("users", field.name)[users], field) for field in attribute_fields(dataset)]
    )


def _factorize(matrix: csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[users, k] and [items, k], whose products are nearest to the matrix (MailError if it is too small)."""
    rank = min(FACTORS, min(matrix.shape) - 1)
    if rank < 1:
        raise MailError(f"factors need two users and two items or more. Found {matrix.shape[0]} and {matrix.shape[1]}.")
    left, scale, right = truncated_svd(matrix, rank, random_state=0)
    return left * scale, right.T
