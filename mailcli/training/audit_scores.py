"""Scores of new users' impressions by one model, with what is generated for them and with other behavior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.models.batch_spec import example_batch, to_tensors
from mailcli.models.features import Features, Tensor, mean_behavior, replace_behaviors, without_behaviors
from mailcli.models.history_length import last_steps_mask
from mailcli.models.two_tower import TwoTower, click_logit
from mailcli.runs.audit import SOURCES, AuditScores
from mailcli.runs.folder import RunFolder
from mailcli.training.hidden_behavior import NotMeasurableError, another_user, generates_nothing, have_hidden_behavior
from mailcli.training.two_stage import training_data
from mailcli.utils.progress import progress


def audit_run(run: RunFolder, model: TwoTower, dataset: Dataset, splits: Mapping[str, View]) -> AuditScores:
    """Score a run's new users with each of SOURCES, with the same weights.

    Args:
        run: the run.
        model: with its best epoch's weights.
        dataset: its dataset, with the run's ids.
        splits: the run's views of the training and test splits.

    Raises:
        NotMeasurableError: the run's method generates no behavior, there are fewer than two new users, or all labels
            are the same.
    """
    if not _may_generate(model):
        raise generates_nothing(run)
    config, test = run.config, splits["test"]
    # Without hidden behavior there is nothing to compare with.
    rows = test.rows[have_hidden_behavior(run, dataset, test)]
    users = dataset.column("test", "user")[rows].astype(np.int64)
    if len(np.unique(users)) < 2:
        raise NotMeasurableError(f"{run.folder}: fewer than two new users of the test split have behavior.")
    with_histories = test._replace(rows=rows).with_all_histories()
    # Every impression is ranked once with each source: a batch is then as large as one of training.
    batches = Batches(dataset, with_histories, config.history, max(1, config.batch_size // len(SOURCES)))
    others = another_user(users, config.seed)
    scorer = _AuditScorer(model, _mean_of_old_users(run, model, dataset, splits["train"]))
    parts: list[NDArray[np.float32]] = []
    generated = False
    with progress(f"auditing {config.cell}, seed {config.seed}", len(rows), "impressions") as advance:
        for start in range(0, len(rows), batches.batch_size):
            part = slice(start, start + batches.batch_size)
            any_generated, scores = scorer(batches, rows[part], others[part])
            generated |= any_generated
            parts.append(scores)
            advance(len(rows[part]))
    if not generated:
        raise generates_nothing(run)
    columns = dict(zip(SOURCES, np.concatenate(parts, axis=1), strict=True))
    return AuditScores(users, dataset.column("test", "click")[rows].astype(np.float32), columns)


def _may_generate(model: TwoTower) -> bool:
    """False where the method passes the histories of new users through; saves building the graph."""
    features = model.embedding(example_batch(model.embedding.schema, model.history))
    hidden = without_behaviors(features, tf.ones_like(features.is_new))
    completed = model.cold_start.complete(hidden)
    return completed.behavior_mask is not hidden.behavior_mask or completed.prepared is not hidden.prepared


class _AuditScorer:
    """pCTR of a batch with each of SOURCES, as one graph in which each tower occurs once."""

    def __init__(self, model: TwoTower, mean: tuple[Tensor, Tensor]) -> None:
        self._model = model
        self._mean_step, self._mean_length = mean
        self._graph = model.as_graph(self._scores)

    def __call__(
        self, batches: Batches, rows: NDArray[np.int64], others: NDArray[np.int64]
    ) -> tuple[bool, NDArray[np.float32]]:
        """Whether anything is generated for the users of some impressions, and [sources, impressions], pCTR."""
        batch = cast("dict[str, NDArray]", batches.gather(rows))
        swapped = {**batch, "attributes": batches.attributes(others), "user": others.astype(np.int32)}
        both = {name: np.concatenate([batch[name], swapped[name]]) for name in batch}
        generated, scores = self._graph(to_tensors(cast("Batch", both)))
        return bool(generated), scores.numpy()

    def _scores(self, both: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As `__call__`, from the impressions and then the same with other users in their place."""
        embedded = self._model.embedding(both)
        count = tf.shape(embedded.is_new)[0] // 2
        emptied = without_behaviors(embedded, tf.ones_like(embedded.is_new))
        hidden = emptied.rows(tf.range(count))
        completed = self._model.cold_start.complete(_joined([embedded.rows(tf.range(count)), emptied]))
        real, own, other = (completed.rows(tf.range(start, start + count)) for start in (0, count, 2 * count))
        versions = {
            "own": own,
            "other": _with_behaviors_of(hidden, other),
            "permuted": other,
            "mean": self._with_mean(hidden),
            "none": hidden,
            "real": real,
        }
        joined = _joined([versions[name] for name in SOURCES])
        logits = click_logit(self._model.cold_start.logits(self._model.ranker, joined))
        generated = own.behavior_mask | ~tf.math.is_nan(own.prepared)[:, None]
        return tf.reduce_any(generated), tf.reshape(tf.sigmoid(logits), [len(SOURCES), count])

    def _with_mean(self, features: Features) -> Features:
        """The mean step of old users, as often as they have steps on average."""
        count = tf.shape(features.is_new)[0]
        mask = last_steps_mask(tf.fill([count], self._mean_length), features.behaviors.shape[1])
        steps = tf.cast(mask, self._mean_step.dtype)[:, :, None] * self._mean_step
        steps = tf.cast(steps, features.behaviors.dtype)
        return replace_behaviors(features, tf.range(count), steps, tf.reduce_sum(steps, axis=1), mask)


def _joined(parts: list[Features]) -> Features:
    """The impressions of several batches, one batch after the other."""
    columns = {
        name: tf.concat([getattr(part, name) for part in parts], axis=0)
        for name in Features._fields
        if name != "action_table"
    }
    return parts[0]._replace(**columns)


def _with_behaviors_of(features: Features, other: Features) -> Features:
    return features._replace(
        behaviors=other.behaviors,
        behavior_mask=other.behavior_mask,
        behavior_sum=other.behavior_sum,
        action_ids=other.action_ids,
        prepared=other.prepared,
    )


def _mean_of_old_users(run: RunFolder, model: TwoTower, dataset: Dataset, train: View) -> tuple[Tensor, Tensor]:
    """The mean step [d] and the mean number of steps of old users, each at the last training impression."""
    batches = Batches.of_run(dataset, train, run.config)
    data = training_data(model, dataset, batches, run.config.seed)
    steps, lengths = [], []
    for features in data.old_users():
        steps.append(tf.cast(mean_behavior(features), tf.float32).numpy())
        lengths.append(tf.math.count_nonzero(features.behavior_mask, axis=1).numpy())
    if not steps:
        raise NotMeasurableError(f"{run.folder}: no user of the training split is old, so there is no mean v.")
    mean_step, mean_length = (tf.constant(np.concatenate(x).mean(axis=0), tf.float32) for x in (steps, lengths))
    return mean_step, mean_length
