"""Scores of a split -> the metrics of new, old and all users, and how they vary from user to user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, old_impressions
from mailcli.errors import DivergedError, MailError
from mailcli.metrics.auc import auc, gauc
from mailcli.metrics.bootstrap import WeightedMetrics, resampled_metrics
from mailcli.metrics.calibration import CALIBRATION_METRICS, calibration
from mailcli.utils.parsing import none_if_nan

#: For each column of a Scorer's output: the prefix of its metrics' names, and its label.
LABELS = (("", "click"), ("CTCVR", "conversion"))

Metrics = dict[str, dict[str, Any]]
Draws = dict[str, dict[str, NDArray[np.float64]]]
"""Group -> metric -> [draws], NaN for draws in which a class is missing."""


def measure(dataset: Dataset, view: View, scores: NDArray[np.floating]) -> Metrics:
    """AUC, GAUC and calibration of each non-empty group of impressions; of conversions as well, if they are scored.

    Scores that are not all from 0 to 1 are not probabilities; their calibration is None.

    `new` is MAIL's flag, Eq. (9); `old` is the rest; `natural` are impressions before which the data holds
    no behavior of their user.

    Args:
        dataset: the dataset.
        view: what was scored.
        scores: [impressions of the view], or [impressions, 2], as Scorer returns them.

    Raises:
        DivergedError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise DivergedError(
            f"{view.split}: a score is not finite. Training has diverged; a lower learning_rate may help."
        )
    user, groups = _groups(dataset, view)
    metrics: Metrics = {name: {} for name in groups}
    for prefix, label, column in _labeled_scores(dataset, view, scores):
        are_probabilities = bool(((column >= 0) & (column <= 1)).all())
        for name, group in groups.items():
            metrics[name] |= _group_metrics(prefix, user[group], label[group], column[group])
            metrics[name] |= _group_calibration(prefix, label[group], column[group] if are_probabilities else None)
    return metrics


def check_selectable(dataset: Dataset, view: View, users: str, key: str = "select") -> None:
    """Refuse to select by the AUC of users whose impressions all have the same label (MailError): it is undefined.

    Args:
        dataset: the dataset.
        view: the split by which epochs or settings are selected.
        users: "all", "new" or "old".
        key: the setting or option that names the users.
    """
    _, groups = _groups(dataset, view)
    impressions = groups.get(users, np.zeros(len(view.rows), bool))
    clicks, total = int(dataset.column(view.split, "click")[view.rows][impressions].sum()), int(impressions.sum())
    if clicks in {0, total}:
        raise MailError(
            f"{key} = '{users}': {clicks} of the {total} impressions of {users} users in the {view.split} split are "
            f"clicks, so they have no AUC. Expected both clicks and non-clicks; choose another `{key}`, or a dataset "
            "with more impressions."
        )


def measure_draws(dataset: Dataset, view: View, scores: NDArray[np.floating], draws: int) -> Draws:
    """AUC and GAUC of the groups of `measure`, for draws of the view's users with replacement (bootstrap).

    All groups, and all runs on the dataset, are measured on the same draws. A drawn user brings along all of their
    impressions, so the size of a group varies from draw to draw.

    Args:
        dataset: the dataset.
        view: what was scored.
        scores: as in `measure`, and finite.
        draws: the number of draws.
    """
    user, groups = _groups(dataset, view)
    users, user = np.unique(user, return_inverse=True)
    samples = {
        (name, prefix): WeightedMetrics(user[group], label[group], column[group], len(users))
        for prefix, label, column in _labeled_scores(dataset, view, scores)
        for name, group in groups.items()
    }
    values = resampled_metrics(list(samples.values()), len(users), draws)
    by_group: Draws = {name: {} for name in groups}
    for (name, prefix), (aucs, gaucs) in zip(samples, values.transpose(1, 2, 0), strict=True):
        by_group[name] |= {f"{prefix} AUC".strip(): aucs, f"{prefix} GAUC".strip(): gaucs}
    return by_group


def _groups(dataset: Dataset, view: View) -> tuple[NDArray, dict[str, NDArray[np.bool_]]]:
    """[impressions], the user of each; and for each non-empty group a mask of its impressions."""
    user = dataset.column(view.split, "user")[view.rows]
    without_history = dataset.earlier_behaviors(view.split)[view.rows] == 0
    old = old_impressions(dataset, view)
    groups = {"new": ~old, "old": old, "all": np.ones(len(user), bool), "natural": without_history}
    return user, {name: group for name, group in groups.items() if group.any()}


def _labeled_scores(dataset: Dataset, view: View, scores: NDArray) -> Iterator[tuple[str, NDArray, NDArray]]:
    """For each column of the scores: the prefix of its metrics' names, labels and scores."""
    columns = scores.reshape(len(view.rows), -1).T
    for column, (prefix, label) in zip(columns, LABELS, strict=False):
        yield prefix, dataset.column(view.split, label)[view.rows], column


def _group_metrics(prefix: str, user: NDArray, label: NDArray, scores: NDArray) -> dict[str, Any]:
    by_user = gauc(user, label, scores)
    auc_value, gauc_value, positives = none_if_nan(auc(label, scores)), none_if_nan(by_user.value), int(label.sum())
    if prefix:
        return {f"{prefix} AUC": auc_value, f"{prefix} GAUC": gauc_value, "conversions": positives}
    return {
        "AUC": auc_value,
        "GAUC": gauc_value,
        "impressions": len(label),
        "clicks": positives,
        "users": int(np.count_nonzero(np.bincount(user))),
        "one_class_users": by_user.one_class_user_share,
        "one_class_impressions": by_user.one_class_impression_share,
    }


def _group_calibration(prefix: str, label: NDArray, probabilities: NDArray | None) -> dict[str, float | None]:
    names = [f"{prefix} {name}".strip() for name in CALIBRATION_METRICS]
    if probabilities is None:
        return dict.fromkeys(names)
    return dict(zip(names, map(none_if_nan, calibration(label, probabilities)), strict=True))
