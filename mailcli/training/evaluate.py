"""Scores of a split, and the metrics of new, old and all users; how they vary with the users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.errors import MailError
from mailcli.metrics.auc import auc, gauc
from mailcli.metrics.bootstrap import WeightedMetrics, resample
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.two_tower import TwoTower
from mailcli.training import collectives
from mailcli.utils.progress import progress

#: What the columns of a Scorer's output are scores of: a prefix of the metrics' names, and the label.
LABELS = (("", "click"), ("CTCVR", "conversion"))

#: Decides the draws of users (ours): one number, so that all runs on a dataset see the same draws.
DRAWS_SEED = 0

Metrics = dict[str, dict[str, Any]]
Draws = dict[str, dict[str, NDArray[np.float64]]]
"""Group -> metric -> [draws], NaN where a draw lacks a class."""


class Scorer:
    """The probabilities of a model; traced once."""

    def __init__(self, model: TwoTower) -> None:
        self._score = tf.function(model.probabilities, input_signature=[model.batch_signature])

    def __call__(self, batches: Batches, title: str) -> NDArray[np.float32]:
        """[impressions], scores of a view in the dataset's order; [impressions, 2] of a ranker with pCTCVR besides.

        Several workers score a part each, and every one gets all.
        """
        heads = self.heads
        # All that is kept of an impression.
        scores = np.empty((len(batches.view.rows), heads), np.float32)
        done, mine = 0, len(scores) // distribute.worker_count()
        with progress(title, mine, "impressions") as advance:
            for batch in batches.in_order():
                found = self.scores_of(batch)
                scores[done : done + len(found)] = found
                done += len(found)
                advance(len(found))
        scores = collectives.gathered(scores[:done])
        return scores[:, 0] if heads == 1 else scores

    @property
    def heads(self) -> int:
        """How many scores an impression has: 1, or 2 with pCTCVR."""
        return int(self._score.get_concrete_function().output_shapes[1])

    def scores_of(self, batch: Batch) -> NDArray[np.float32]:
        """[B, heads], the scores of one batch."""
        found: NDArray[np.float32] = self._score(to_tensors(batch)).numpy()
        return found


def measure(dataset: Dataset, view: View, scores: NDArray[np.floating]) -> Metrics:
    """AUC and GAUC of each group of impressions that is not empty; of conversions too, where they are scored.

    `new` is MAIL's flag, Eq. (9); `old` the others; `natural` those that the raw data itself shows without behavior.

    Args:
        scores: [impressions of the view], or [impressions, 2], as Scorer gives them.

    Raises:
        MailError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise MailError(f"{view.split}: a score is not finite. Training has diverged; a lower learning_rate may help.")
    user, groups = _groups(dataset, view)
    found: Metrics = {name: {} for name in groups}
    for prefix, label, column in _labelled(dataset, view, scores):
        for name, group in groups.items():
            found[name] |= _of(prefix, user[group], label[group], column[group])
    return found


def measure_draws(dataset: Dataset, view: View, scores: NDArray[np.floating], draws: int) -> Draws:
    """AUC and GAUC of the groups of `measure` for draws of the view's users with replacement.

    All groups, and all runs on the dataset, see the same draws. A user who is drawn brings the impressions of each
    group along, so that groups are larger in one draw and smaller in another.

    Args:
        scores: finite; as in `measure`.
        draws: how many.
    """
    user, groups = _groups(dataset, view)
    present, user = np.unique(user, return_inverse=True)
    samples = {
        (name, prefix): WeightedMetrics(user[group], label[group], column[group], len(present))
        for prefix, label, column in _labelled(dataset, view, scores)
        for name, group in groups.items()
    }
    values = np.empty((draws, len(samples), 2))
    with progress("drawing users", draws, "draws") as advance:
        for number, drawn in enumerate(resample(list(samples.values()), len(present), draws, DRAWS_SEED)):
            values[number] = drawn
            advance(1)
    found: Draws = {name: {} for name in groups}
    for (name, prefix), (aucs, gaucs) in zip(samples, values.transpose(1, 2, 0), strict=True):
        found[name] |= {f"{prefix} AUC".strip(): aucs, f"{prefix} GAUC".strip(): gaucs}
    return found


def _groups(dataset: Dataset, view: View) -> tuple[NDArray, dict[str, NDArray[np.bool_]]]:
    """[impressions], the user of each; and which of them are in the groups that are not empty."""
    user = dataset.column(view.split, "user")[view.rows]
    unseen = dataset.earlier_behaviors(view.split)[view.rows] == 0
    new = view.new[user] | unseen
    groups = {"new": new, "old": ~new, "all": np.ones(len(user), bool), "natural": unseen}
    return user, {name: group for name, group in groups.items() if group.any()}


def _labelled(dataset: Dataset, view: View, scores: NDArray) -> Iterator[tuple[str, NDArray, NDArray]]:
    """What is scored: the prefix of its metrics, labels and scores."""
    columns = scores.reshape(len(view.rows), -1).T
    for column, (prefix, label) in zip(columns, LABELS, strict=False):
        yield prefix, dataset.column(view.split, label)[view.rows], column


def _of(prefix: str, user: NDArray, label: NDArray, scores: NDArray) -> dict[str, Any]:
    by_user = gauc(user, label, scores)
    found = {
        "AUC": _or_none(auc(label, scores)),
        "GAUC": _or_none(by_user.value),
        "impressions": len(label),
        "clicks": int(label.sum()),
        "users": int(np.count_nonzero(np.bincount(user))),
        "one_class_users": by_user.one_class_users,
        "one_class_impressions": by_user.one_class_impressions,
    }
    if prefix:
        return {f"{prefix} AUC": found["AUC"], f"{prefix} GAUC": found["GAUC"], "conversions": found["clicks"]}
    return found


def _or_none(value: float) -> float | None:
    """JSON has no NaN: a metric that is not defined is null."""
    return None if np.isnan(value) else value
