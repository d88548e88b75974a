"""Scores of new users' impressions by one model, with what is generated for them and with other behavior."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.batches import Batch, Batches
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.models.batch_spec import to_tensors
from mailcli.models.features import Features, Tensor, mean_behavior, replace_behaviors, without_behaviors
from mailcli.models.history_length import last_steps
from mailcli.models.two_tower import click_logit
from mailcli.reporting.warm_up import have_hidden_behavior
from mailcli.training.predictor import Predictor
from mailcli.training.two_stage import training_data
from mailcli.utils.progress import progress

#: What new users' impressions are scored with, and how tables name it.
SOURCES = {
    "own": "v̂ of the user",
    "other": "v̂ of another new user",
    "permuted": "attributes and v̂ of another new user",
    "mean": "mean v of old users",
    "none": "no behavior (v = 0)",
    "real": "real v (what the model never sees)",
}
#: Distinguishes the draw of other users from the other random numbers of a seed.
_OTHERS = 7


class AuditedRun(NamedTuple):
    """The test impressions of a run's drawn new users who have behavior, N of them."""

    users: NDArray[np.int64]
    """[N], rows of the dataset's users."""
    clicks: NDArray[np.float32]
    """[N]"""
    scores: dict[str, NDArray[np.float32]]
    """[N], pCTR with each of SOURCES."""


def audit_run(predictor: Predictor) -> AuditedRun:
    """Score a run's new users with each of SOURCES, by the same weights.

    Args:
        predictor: of the run.

    Raises:
        MailError: the run's method generates no behavior, there are fewer than two new users, or one label.
    """
    dataset, test = predictor.dataset, predictor.test
    # The others have nothing to be held against.
    rows = test.rows[have_hidden_behavior(predictor.run, dataset, test)]
    users = dataset.column("test", "user")[rows].astype(np.int64)
    if len(np.unique(users)) < 2:
        raise MailError(f"{predictor.run.folder}: fewer than two new users of the test split have behavior.")
    batches = predictor.batches(predictor.test_with_all_histories._replace(rows=rows))
    others = another_user(users, predictor.config.seed)
    scorer = _Scorer(predictor)
    parts: list[dict[str, NDArray[np.float32]]] = []
    title = f"auditing {predictor.config.cell}, seed {predictor.config.seed}"
    with progress(title, len(rows), "impressions") as advance:
        for start in range(0, len(rows), batches.batch_size):
            part = slice(start, start + batches.batch_size)
            parts.append(scorer(batches, rows[part], others[part]))
            advance(len(rows[part]))
    scores = {name: np.concatenate([part[name] for part in parts]) for name in SOURCES}
    return AuditedRun(users, dataset.column("test", "click")[rows].astype(np.float32), scores)


def another_user(users: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """[N], for the user of each impression another one of them, the same for all impressions of a user.

    The users are shuffled into a ring, and each gets the next one: nobody gets themselves, and everyone is used once.
    """
    distinct, position = np.unique(users, return_inverse=True)
    order = np.random.default_rng([seed, _OTHERS]).permutation(len(distinct))
    following = np.empty_like(distinct)
    following[order] = distinct[np.roll(order, -1)]
    return following[position]


class _Scorer:
    """pCTR of a batch with each of SOURCES, as one graph."""

    def __init__(self, predictor: Predictor) -> None:
        self._model, self._run = predictor.model, predictor.run
        self._mean_step, self._mean_length = _mean_of_old_users(predictor)
        signature = self._model.batch_signature
        self._graph = tf.function(self._scores, input_signature=[signature, signature])

    def __call__(
        self, batches: Batches, rows: NDArray[np.int64], others: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        batch = batches.gather(rows)
        swapped = Batch(**{**batch, "attributes": batches.attributes(others), "user": others.astype(np.int32)})  # type: ignore[typeddict-item]
        generated, scores = self._graph(to_tensors(batch), to_tensors(swapped))
        if not generated:
            raise MailError(
                f"{self._run.folder}: '{self._run.config.cold_start}' generates no behavior, so there is nothing to "
                "audit. Expected a run of a method such as mail, cvae, llae, eszsl or conse."
            )
        return {name: score.numpy() for name, score in scores.items()}

    def _scores(self, batch: dict[str, Tensor], swapped: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Whether the method generates behavior, and the scores by source."""
        real, theirs = self._model.embedding(batch), self._model.embedding(swapped)
        everyone = tf.ones_like(real.is_new)
        hidden, swapped_features = without_behaviors(real, everyone), without_behaviors(theirs, everyone)
        own, other = (self._model.cold_start.complete(features) for features in (hidden, swapped_features))
        versions = {
            "own": own,
            "other": _with_behaviors_of(hidden, other),
            "permuted": other,
            "mean": self._with_mean(hidden),
            "none": hidden,
            "real": real,
        }
        scores = {name: tf.sigmoid(click_logit(self._model.ranker(x, training=False))) for name, x in versions.items()}
        return tf.reduce_any(own.behavior_mask), scores

    def _with_mean(self, features: Features) -> Features:
        """The mean step of old users, as often as they have steps on average."""
        count = tf.shape(features.is_new)[0]
        mask = last_steps(tf.fill([count], self._mean_length), features.behaviors.shape[1])
        steps = tf.cast(mask, self._mean_step.dtype)[:, :, None] * self._mean_step
        return replace_behaviors(features, tf.range(count), steps, tf.reduce_sum(steps, axis=1), mask)


def _with_behaviors_of(features: Features, other: Features) -> Features:
    return features._replace(
        behaviors=other.behaviors,
        behavior_mask=other.behavior_mask,
        behavior_sum=other.behavior_sum,
        action_ids=other.action_ids,
    )


def _mean_of_old_users(predictor: Predictor) -> tuple[Tensor, Tensor]:
    """The mean step [d] and the mean number of steps of old users, each at the last training impression."""
    view = views(predictor.dataset, predictor.config)["train"]
    data = training_data(predictor.model, predictor.dataset, predictor.batches(view), predictor.config.seed)
    steps, lengths = [], []
    for features in data.old_users():
        steps.append(mean_behavior(features).numpy())
        lengths.append(tf.math.count_nonzero(features.behavior_mask, axis=1).numpy())
    mean_step, mean_length = (tf.constant(np.concatenate(x).mean(axis=0), tf.float32) for x in (steps, lengths))
    return mean_step, mean_length
