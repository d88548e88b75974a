"""Logistic regression on fields."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.data.schema import UNKNOWN, Field
from mailcli.trivial._base import TrivialModel, training_clicks, users_and_items
from mailcli.trivial._one_hot import one_hot

#: Inverse strength of the L2 penalty (ours; chosen on MovieLens-100K with the item's id alone).
INVERSE_PENALTY = 0.3
#: Steps of the solver; it stops long before unless weights grow without a limit.
STEPS = 1000


class LogisticModel(TrivialModel):
    """scikit-learn's logistic regression, L2-regularized, with a weight for every value of some fields."""

    @abstractmethod
    def fields(self, dataset: Dataset) -> list[Field]:
        """The fields it uses."""

    def fit(self, dataset: Dataset, view: View) -> None:
        """Fit the weights."""
        click = training_clicks(dataset, view)
        self._model = LogisticRegression(C=INVERSE_PENALTY, max_iter=STEPS).fit(self._columns(dataset, view), click)

    def score(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """The probability of a click; a value without training impressions counts as none."""
        probabilities: NDArray[np.float64] = self._model.predict_proba(self._columns(dataset, view))[:, 1]
        return probabilities

    def _columns(self, dataset: Dataset, view: View) -> csr_matrix:
        return one_hot(dataset, [(_ids(dataset, view, field), field) for field in self.fields(dataset)])


def _ids(dataset: Dataset, view: View, field: Field) -> NDArray:
    """[impressions of the view] or [impressions, values], a field's ids; a hidden user id is UNKNOWN."""
    user, item = users_and_items(dataset, view)
    if field.group == "context":
        return dataset.column(view.split, field.name)[view.rows]
    if field.group == "target":
        return dataset.column("items", field.name)[item]
    ids = dataset.column("users", field.name)[user]
    return np.where(view.anonymous[user], UNKNOWN, ids) if field.vocabulary == dataset.schema.user else ids
