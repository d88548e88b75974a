"""What precedes the first step of a run: whether its cold-start method can learn from the data, and `prepare`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.batches import Batches, target_ids
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, old_impressions
from mailcli.errors import MailError, shorten
from mailcli.models.contracts import ColdStartMethod, SeenBehaviors, TrainingRows, check_folds
from mailcli.models.two_tower import TwoTower
from mailcli.runs.folder import RunFolder
from mailcli.training import collectives
from mailcli.training.behavior_vectors import seen_behavior_rows
from mailcli.training.teachers import teach


def check_method(method: ColdStartMethod, config: RunConfig, dataset: Dataset, train: View) -> None:
    """Refuse a training split that a method cannot learn from, before anything is trained.

    Args:
        method: of the run.
        config: of the run.
        dataset: the dataset.
        train: what the run sees of the training split.

    Raises:
        MailError: it has fewer users than the method makes folds of, or no old user where the method learns from these.
    """
    user = dataset.column("train", "user")[train.rows]
    if method.folds:
        check_folds(len(np.unique(user)), method.folds)
    if not (method.needs_old_users or method.co_trained):
        return
    if not old_impressions(dataset, train).any():
        seen = dataset.earlier_behaviors("train")[train.rows] > 0
        raise MailError(
            f"{dataset.name}: the cold-start method '{config.cold_start}' learns from old users, who have earlier "
            f"behavior and are not drawn as new. Of the {len(seen)} impressions of the training split, "
            f"{int(seen.sum())} have earlier behavior, and none of these is of an old user. Expected a dataset with "
            "behavior before its training impressions, or a smaller new_share or train_as_new."
        )


def prepare_method(
    model: TwoTower, run: RunFolder, dataset: Dataset, splits: dict[str, View], checkpoint_minutes: float
) -> NDArray[np.float32] | None:
    """Let the method set its variables; [training impressions], the number that it gives each, or None.

    Args:
        model: of the run, newly initialized.
        run, dataset, splits: the run, its data, and what it may see of them.
        checkpoint_minutes: between two checkpoints of a teacher.

    Raises:
        MailError: the method cannot be prepared on this dataset.
    """
    method = model.cold_start
    if not prepares(method):
        return None
    rows = training_rows(
        dataset, splits["train"], run.config, lambda count: teach(run, dataset, splits, count, checkpoint_minutes)
    )
    prepared = method.prepare(rows)
    # Other processors may round differently.
    collectives.broadcast(method.variables)
    if prepared is None:
        return None
    expected = (
        f"cold-start method '{run.config.cold_start}': `prepare` should return a number per training impression, "
        f"[{len(rows.users)}], or None."
    )
    if np.asarray(prepared).dtype.kind not in "buif":
        raise MailError(f"{expected} Received: {shorten(prepared)}")
    numbers = np.asarray(prepared, np.float32)
    if numbers.shape != rows.users.shape:
        raise MailError(f"{expected} Received: {numbers.shape}")
    return numbers


def prepares(method: ColdStartMethod) -> bool:
    """Whether the method defines `prepare`."""
    return type(method).prepare is not ColdStartMethod.prepare


def training_rows(
    dataset: Dataset, view: View, config: RunConfig, teach: Callable[[int], NDArray[np.float32]]
) -> TrainingRows:
    """The impressions of a view of the training split, as a method sees them in `prepare`."""
    users, items = (dataset.column(view.split, name)[view.rows].astype(np.int64) for name in ("user", "item"))
    return TrainingRows(
        users=users,
        items=items,
        clicks=dataset.column(view.split, "click")[view.rows].astype(np.float32),
        attributes=Batches.of_run(dataset, view, config).attributes(np.arange(dataset.counts["users"])),
        target=target_ids(dataset, np.arange(dataset.counts["items"])),
        seed=config.seed,
        teach=teach,
        behaviors=lambda: _seen_behaviors(dataset, view, config.seed),
    )


def _seen_behaviors(dataset: Dataset, view: View, seed: int) -> SeenBehaviors:
    """The users and first-field ids of `seen_behavior_rows`, for `TrainingRows.behaviors`."""
    user, rows, left_out = seen_behavior_rows(dataset, view, np.random.default_rng(seed))
    name = dataset.schema.group("behavior")[0].name
    return SeenBehaviors(user, np.asarray(dataset.column("behaviors", name)[rows], np.int64), left_out)
