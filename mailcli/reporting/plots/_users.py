"""Real and generated behavior of some test users, for the figures that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.last_impressions import last_impressions
from mailcli.data.protocol import View
from mailcli.errors import MailError, quoted
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import check_has_weights
from mailcli.settings.class_code import drawable_methods, generates_behavior
from mailcli.utils.tensorflow_startup import load_tensorflow

#: Old users and new users, at most so many each (ours: more points make a map unreadable).
USERS = 300


class UserVectors(NamedTuple):
    """The behavior and attributes of some users, one row per user."""

    real: NDArray[np.float32]
    """v, flattened [n_v · d]"""
    generated: NDArray[np.float32]
    """v̂, flattened"""
    attributes: NDArray[np.float32]
    """h_a, Eq. (2); the mean attribute if the method has no attention"""
    new: NDArray[np.bool_]


def encode_single_run(runs: Sequence[RunFolder], data_dir: Path, figure: str) -> tuple[RunFolder, UserVectors]:
    """The only run of a figure, and the vectors of its users (MailError if there are several runs)."""
    if len(runs) != 1:
        raise MailError(f"{figure} needs exactly one run; got {len(runs)}. Name one run folder.")
    return runs[0], encode_users(runs[0], open_dataset(data_dir, runs[0].config.data))


def encode_users(run: RunFolder, dataset: Dataset) -> UserVectors:
    """v, v̂ and h_a of up to 300 old and 300 new test users, at their last impressions.

    The behavior of drawn new users is hidden from the model, but we know it: it is what v̂ should be like.

    Raises:
        MailError: the run's method generates no behavior, or too few users have behavior.
    """
    _check_generates(run)
    load_tensorflow()
    import tensorflow as tf

    from mailcli.models.batch_spec import to_tensors
    from mailcli.models.features import without_behaviors
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, dataset)
    model, view = predictor.model, predictor.test
    user = predictor.dataset.column("test", "user")[view.rows]
    last = _last_impressions(predictor.dataset, view, user)
    is_new = view.new[user[last]]
    chosen = np.concatenate([_sample(last[is_new == flag], run.config.seed) for flag in (False, True)])
    new = view.new[user[chosen]]
    if min(new.sum(), (~new).sum()) < 2:
        raise MailError(f"{run.folder}: fewer than two old or two new test users have behavior.")
    batches = predictor.batches(predictor.test_with_all_histories)
    features = model.embedding(to_tensors(batches.gather(view.rows[chosen])))
    completed = model.cold_start.complete(without_behaviors(features, tf.ones(len(chosen), tf.bool)))
    if not completed.behavior_mask.numpy().any():
        # Such as `match`, which generates what users would think of the target.
        raise _nothing_to_draw(run)
    pool = getattr(model.cold_start, "pool_a", None)
    h_a = pool(features.attributes) if pool else tf.reduce_mean(features.attributes, axis=1)
    v, v_hat = (tf.reshape(x.behaviors, [len(chosen), -1]).numpy() for x in (features, completed))
    return UserVectors(v, v_hat, np.asarray(h_a), new)


def _check_generates(run: RunFolder) -> None:
    """Refuse a run whose method generates no behavior (MailError)."""
    check_has_weights(run)
    if run.config.cold_start == "none":
        raise MailError(f"{run.folder}: has no cold-start method, so there is no generated behavior to draw.")
    if not generates_behavior(run.config.cold_start):
        raise _nothing_to_draw(run)


def _nothing_to_draw(run: RunFolder) -> MailError:
    method = run.config.cold_start
    what = "a number per impression and no steps of behavior" if generates_behavior(method) else "no behavior"
    return MailError(
        f"{run.folder}: '{method}' generates {what}, so there is nothing to draw. Expected a run of one of "
        f"{quoted(drawable_methods())}."
    )


def _last_impressions(dataset: Dataset, view: View, user: NDArray) -> NDArray:
    """Positions in the test view of the last impression of each user with behavior.

    Args:
        dataset: the dataset.
        view: its test split as the run sees it.
        user: [impressions of the view], their users.
    """
    with_behavior = np.flatnonzero(dataset.earlier_behaviors("test")[view.rows] > 0)
    return last_impressions(with_behavior, user[with_behavior])


def _sample(rows: NDArray, seed: int) -> NDArray:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:USERS])
