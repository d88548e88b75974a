"""What the training split says about users and items: clicks, and grades where behaviors have them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import Mask, View
from mailcli.data.schema import FIRST_ID
from mailcli.errors import MailError, quoted
from mailcli.metrics.biases import PASSES, Biases, fit_biases
from mailcli.trivial._base import training_clicks, users_and_items


class Outcomes(NamedTuple):
    """Numbers that users gave items: n clicks, or n grades."""

    user: NDArray[np.int64]
    """[n], rows of the dataset's users."""
    item: NDArray[np.int64]
    """[n], numbers of items."""
    value: NDArray[np.float64]
    users: int
    item_of_row: NDArray[np.int64]
    """[items], the number of each of the dataset's items."""
    items: int
    """How many numbers of items there are."""

    def biases(self, passes: int = PASSES) -> Biases:
        """The biases of users and items."""
        return fit_biases(self.user, self.item, self.value, self.users, self.items, passes)

    def residual(self, biases: Biases) -> NDArray[np.float64]:
        """[n], what the biases leave unexplained."""
        return biases.residual(self.user, self.item, self.value)


def click_outcomes(dataset: Dataset, view: View) -> Outcomes:
    """The clicks of the training split, 0 or 1; an item's number is its row."""
    user, item = users_and_items(dataset, view)
    items = dataset.counts["items"]
    return Outcomes(user, item, training_clicks(dataset, view), len(view.new), np.arange(items), items)


def grade_outcomes(dataset: Dataset, view: View) -> Outcomes:
    """The graded actions before the training impressions, and those that are training impressions themselves.

    An action that is a number is a grade: ML-100K's ratings. A behavior is an impression itself if it has the same
    user, item and time. An item's number is its id in the vocabulary that behaviors and items share.

    Raises:
        MailError: actions are no grades, or behaviors do not say which item it was.
    """
    grades, name, vocabulary = _grades_of_actions(dataset), *_item_field(dataset)
    user, row = users_and_items(dataset, view)
    of_behavior = np.repeat(np.arange(len(view.new)), np.diff(dataset.offsets))
    item_of_row = dataset.column("items", name[1])[:].astype(np.int64)
    item = dataset.column("behaviors", name[0])[:].astype(np.int64)
    used = _before(dataset, view, user, of_behavior) | _impressions_themselves(
        [of_behavior, item, dataset.column("behaviors", "time")[:]],
        [user, item_of_row[row], dataset.column(view.split, "time")[view.rows]],
    )
    used &= ~view.new[of_behavior] & (item >= FIRST_ID)
    value = grades[dataset.column("behaviors", "action")[used].astype(np.int64) - FIRST_ID]
    if not len(value):
        raise MailError(f"dataset '{dataset.name}': no graded action is before a training impression.")
    return Outcomes(
        of_behavior[used], item[used], value, len(view.new), item_of_row, dataset.vocabulary_sizes[vocabulary]
    )


def _grades_of_actions(dataset: Dataset) -> NDArray[np.float64]:
    """[actions], the grade of each kind (MailError if they are no numbers, or only one)."""
    actions = dataset.schema.actions
    try:
        grades = np.array([float(action) for action in actions])
    except ValueError:
        grades = np.array([np.nan])
    if len(grades) < 2 or not np.isfinite(grades).all():
        raise MailError(
            f"dataset '{dataset.name}': its actions are {quoted(actions)}, not grades. Expected two numbers or more, "
            "such as ratings; for other data there are rows of clicks, such as item-bias."
        )
    return grades


def _item_field(dataset: Dataset) -> tuple[tuple[str, str], str]:
    """The fields of behaviors and of items that say which item it is, and their vocabulary: the largest shared one."""
    targets = {field.vocabulary: field.name for field in dataset.schema.group("target") if field.values == 1}
    shared = [field for field in dataset.schema.group("behavior") if field.vocabulary in targets and field.values == 1]
    if not shared:
        raise MailError(
            f"dataset '{dataset.name}': no field of its behaviors has the vocabulary of a field of its items, so "
            "actions grade nothing."
        )
    field = max(shared, key=lambda field: dataset.vocabulary_sizes[field.vocabulary])
    return (field.name, targets[field.vocabulary]), field.vocabulary


def _before(dataset: Dataset, view: View, user: NDArray[np.int64], of_behavior: NDArray[np.int64]) -> Mask:
    """[behaviors], whether each is before its user's last training impression."""
    end = dataset.offsets[:-1].copy()
    np.maximum.at(end, user, dataset.column(view.split, "history_end")[view.rows])
    return np.arange(len(of_behavior)) < end[of_behavior]


def _impressions_themselves(behaviors: list[NDArray], impressions: list[NDArray]) -> Mask:
    """[behaviors], whether an impression has the same user, item and time."""
    mask: Mask = pd.MultiIndex.from_arrays(behaviors).isin(pd.MultiIndex.from_arrays(impressions))
    return mask
