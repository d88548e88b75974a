"""Scores of a split, and the metrics of new, old and all users."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli import metrics
from mailcli.batches import Batches
from mailcli.errors import MailError
from mailcli.model import TwoTower, batch_signature, to_tensors
from mailcli.progress import progress
from mailcli.protocol import View
from mailcli.store import Store

#: What the columns of a Scorer's output are scores of: a prefix of the metrics' names, and the label.
LABELS = (("", "click"), ("CTCVR", "conversion"))

Metrics = dict[str, dict[str, Any]]


class Scorer:
    """The probabilities of a model; traced once."""

    def __init__(self, model: TwoTower, history: int) -> None:
        signature = batch_signature(model.embedding.schema, history)
        self._score = tf.function(model.probabilities, input_signature=[signature])

    def __call__(self, batches: Batches, title: str) -> NDArray[np.float32]:
        """[impressions], scores of a view in the store's order; [impressions, 2] of a ranker with pCTCVR besides."""
        scores = []
        with progress(title, len(batches.view.rows), "impressions") as advance:
            for batch in batches.in_order():
                scores.append(self._score(to_tensors(batch)).numpy())
                advance(len(scores[-1]))
        whole = np.concatenate(scores)
        return whole[:, 0] if whole.shape[1] == 1 else whole


def measure(store: Store, view: View, scores: NDArray[np.floating]) -> Metrics:
    """AUC and GAUC of each group of impressions that is not empty; of conversions too, where they are scored.

    `new` is MAIL's flag, Eq. (9); `old` the others; `natural` those that the raw data itself shows without behaviour.

    Args:
        scores: [impressions of the view], or [impressions, 2], as Scorer gives them.

    Raises:
        MailError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise MailError(f"{view.split}: a score is not finite. Training has diverged; a lower learning_rate may help.")
    user = store.column(view.split, "user")[view.rows]
    unseen = store.earlier_behaviors(view.split)[view.rows] == 0
    drawn = view.new[user]
    groups = {
        "new": drawn | unseen,
        "old": ~drawn & ~unseen,
        "all": np.ones(len(user), bool),
        "natural": unseen,
    }
    found: Metrics = {name: {} for name, group in groups.items() if group.any()}
    columns = scores.reshape(len(user), -1).T
    for column, (prefix, label_name) in zip(columns, LABELS, strict=False):
        label = store.column(view.split, label_name)[view.rows]
        for name, metrics_of_group in found.items():
            group = groups[name]
            metrics_of_group |= _of(prefix, user[group], label[group], column[group])
    return found


def _of(prefix: str, user: NDArray, label: NDArray, scores: NDArray) -> dict[str, Any]:
    by_user = metrics.gauc(user, label, scores)
    found = {
        "AUC": _or_none(metrics.auc(label, scores)),
        "GAUC": _or_none(by_user.value),
        "impressions": len(label),
        "clicks": int(label.sum()),
        "users": len(np.unique(user)),
        "one_class_users": by_user.one_class_users,
        "one_class_impressions": by_user.one_class_impressions,
    }
    if prefix:
        return {f"{prefix} AUC": found["AUC"], f"{prefix} GAUC": found["GAUC"], "conversions": found["clicks"]}
    return found


def _or_none(value: float) -> float | None:
    """JSON has no NaN: a metric that is not defined is null."""
    return None if np.isnan(value) else value
