"""Teachers: the run's ranker without a method, trained on the users of the other folds, for methods such as `pfd`.

<run>/teachers/fold-<k>/ is each one's run folder while the run is not finished: like the run, a teacher resumes from
its last checkpoint.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import Mask, View, old_impressions
from mailcli.models import distribute
from mailcli.models.contracts import user_folds
from mailcli.models.factory import make_model
from mailcli.models.step import Step
from mailcli.models.two_tower import TwoTower
from mailcli.runs.folder import CONFIG, RunFolder
from mailcli.training import collectives
from mailcli.training.behavior_vectors import initialize_embedding
from mailcli.training.evaluate import check_selectable
from mailcli.training.loop import TrainingLoop
from mailcli.training.scorer import Scorer
from mailcli.utils.files import remove
from mailcli.utils.parsing import read_toml

logger = logging.getLogger(__name__)

#: Teachers are selected by all users: those with a history are most of these, whomever the run itself is selected by.
_SELECT = "all"
#: Distance of a teacher's pCTR from 0 and 1 before its logit is taken (ours; float32 rounds at 6e-8).
_EPSILON = 1e-7


def teach(
    run: RunFolder, dataset: Dataset, splits: dict[str, View], count: int, checkpoint_minutes: float
) -> NDArray[np.float32]:
    """[training impressions], the logit that the teacher of each one's fold gives it; NaN where it sees no history.

    A teacher sees the histories that the run sees, but no user id: an id on which it was not trained says nothing. No
    impression of the fold that it teaches is in its training or validation split.

    Args:
        run: the run to write.
        dataset: the dataset.
        splits: the run's; histories of new users are hidden from teachers, too.
        count: the number of folds.
        checkpoint_minutes: between two checkpoints.

    Raises:
        MailError: there are fewer users than folds, or a teacher has nothing to be selected by.
    """
    train = splits["train"]
    user = dataset.column("train", "user")[train.rows].astype(np.int64)
    fold = user_folds(user, count, run.config.seed)
    config = replace(run.config.baseline(), select=_SELECT)
    logits = np.full(len(user), np.nan, np.float32)
    sees_history = old_impressions(dataset, train)
    for number in range(count):
        rows = sees_history & (fold == number)
        if not rows.any():
            continue
        if run.is_local:
            logger.info(f"{run.folder}: training teacher {number + 1} of {count} on the users of the other folds.")
        taught_users = np.zeros(dataset.counts["users"], bool)
        taught_users[user[fold == number]] = True
        teacher = replace(run, folder=run.teachers / f"fold-{number}", config=config, listeners=[], replaces="")
        logits[rows] = _train_and_score(teacher, dataset, splits, taught_users, train.rows[rows], checkpoint_minutes)
    return logits


def delete_teachers(run: RunFolder) -> None:
    """Delete the teachers of a finished run."""
    if run.is_local:
        remove(run.teachers)


def _train_and_score(
    teacher: RunFolder,
    dataset: Dataset,
    splits: dict[str, View],
    taught_users: Mask,
    rows: NDArray[np.int64],
    checkpoint_minutes: float,
) -> NDArray[np.float32]:
    """The logits that a teacher gives the impressions of a fold, trained without the users whom it teaches.

    Args:
        teacher: its run; config.toml holds the settings of the run that it teaches.
        dataset, splits: those of that run.
        taught_users: [users of the dataset].
        rows: the impressions to score, rows of the training split.
        checkpoint_minutes: between two checkpoints.
    """
    config = teacher.config
    if teacher.has_begun and read_toml(teacher.folder / CONFIG) != teacher.settings:
        # Left behind by a run with other settings, which was stopped before it had begun itself.
        remove(teacher.folder)

    views = {name: _without(dataset, splits[name], taught_users) for name in ("train", "validation")}
    check_selectable(dataset, views["validation"], _SELECT)
    model = make_model(dataset, config, teacher.folder)
    score = Scorer(model)

    def initialize(model: TwoTower, _: Step) -> None:
        initialize_embedding(model.embedding, dataset, views["train"], config)

    worker = distribute.worker()
    batches = {name: Batches.of_run(dataset, view, config, worker) for name, view in views.items()}
    TrainingLoop(teacher, dataset, model, score, batches, checkpoint_minutes, initialize).train()
    teacher.restore(model)
    collectives.broadcast(model.variables)
    fold = Batches.of_run(dataset, views["train"]._replace(rows=rows), config, worker)
    scores = score(fold, "scoring the teacher's fold")
    click = np.clip(scores.reshape(len(rows), -1)[:, 0].astype(np.float64), _EPSILON, 1 - _EPSILON)
    return (np.log(click) - np.log1p(-click)).astype(np.float32)


def _without(dataset: Dataset, view: View, users: Mask) -> View:
    """A split without some users' impressions, and without user ids."""
    others = view.rows[~users[dataset.column(view.split, "user")[view.rows]]]
    return view._replace(rows=others, anonymous=np.ones_like(view.anonymous))
