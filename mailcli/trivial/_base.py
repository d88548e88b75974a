"""What a trivial row is: fitted to the training split, it gives probabilities of clicks."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.errors import MailError


class TrivialModel(ABC):
    """A trivial row.

    It may use the training split's impressions (`view.rows`) and the behaviors before them, those of `view.new` users
    excepted. `treated_as_new` and `without_id` are for networks: here every training impression counts as it is.
    """

    @abstractmethod
    def fit(self, dataset: Dataset, view: View) -> None:
        """Fit it to the training split (MailError if the dataset lacks what it needs)."""

    @abstractmethod
    def score(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """[impressions of the view], the probability of a click."""


class CalibratedModel(TrivialModel):
    """A trivial row that computes any number, of which a logistic regression on the training split makes the pCTR.

    Where clicks rise with the number, the regression (Platt, 1999) keeps the order of impressions, so that the metrics
    of ranking are those of the number. It has scikit-learn's default penalty (C = 1), which makes probabilities of some
    thousand impressions less extreme than they should be: do not compare their log loss, NE and ECE with those of a
    network.
    """

    def fit(self, dataset: Dataset, view: View) -> None:
        """Fit the number, then the regression."""
        self.fit_value(dataset, view)
        click = training_clicks(dataset, view)
        self._calibration = LogisticRegression().fit(self.value(dataset, view)[:, None], click)

    def score(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """[impressions of the view], the probability of a click."""
        probabilities: NDArray[np.float64] = self._calibration.predict_proba(self.value(dataset, view)[:, None])[:, 1]
        return probabilities

    @abstractmethod
    def fit_value(self, dataset: Dataset, view: View) -> None:
        """Fit what `value` needs to the training split."""

    @abstractmethod
    def value(self, dataset: Dataset, view: View) -> NDArray[np.float64]:
        """[impressions of the view], a number that is higher where a click is likelier."""


def training_clicks(dataset: Dataset, view: View) -> NDArray[np.float64]:
    """[impressions of the training split], 1 for a click (MailError if there are only clicks, or none)."""
    click = dataset.column(view.split, "click")[view.rows].astype(np.float64)
    if len(np.unique(click)) < 2:
        raise MailError(
            f"dataset '{dataset.name}': {int(click.sum())} of the {len(click)} training impressions are clicks, so "
            "nothing can be fitted. Expected some with and some without a click."
        )
    return click


def users_and_items(dataset: Dataset, view: View) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[impressions of the view] each, the rows of their users and items in the dataset's tables."""
    user, item = (dataset.column(view.split, name)[view.rows].astype(np.int64) for name in ("user", "item"))
    return user, item
