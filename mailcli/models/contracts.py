"""What rankers and cold-start methods receive, and what they must offer. Neither knows the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from mailcli.data.last_impressions import last_impressions
from mailcli.data.seed_streams import USER_FOLDS
from mailcli.errors import MailError, counted
from mailcli.models.features import Features, Spec, Tensor

#: Users per batch of `TrainingData.old_users` (ours: the paper's batch size).
USER_BATCH_SIZE = 1024
# The losses given to `add_loss` in this thread, that of one replica, since `added_losses` was entered.
_added: ContextVar[list[Tensor] | None] = ContextVar("added", default=None)


class RankingTower(keras.layers.Layer):
    """A ranker: the class `Ranker` of a file in mailcli/models/rankers. Its constructor's keywords are its options."""

    supports_replicas: ClassVar[bool] = False
    """For classes from outside the package: whether it may run on several replicas, that is, whether everything that
    mixes the rows of a batch, and every random number, comes from mailcli.models.layers, .losses and .distribute
    (docs/SCALING.md)."""

    def add_loss(self, loss: Tensor) -> None:
        """As in Keras; on several replicas, this replica's share."""
        losses = _added.get()
        if losses is None:
            super().add_loss(loss)
        else:
            losses.append(loss)

    def build_for(self, spec: Spec) -> None:
        """Make the variables whose shapes depend on the dataset, or refuse the dataset (ValueError)."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Click logits [B]; or {"click": [B], "conversion": [B]}, the second for a conversion after a click."""
        raise NotImplementedError


@contextmanager
def added_losses() -> Iterator[list[Tensor]]:
    """Collect what rankers give to `add_loss` inside the `with` block.

    Keras keeps these losses in the layer, which all replicas of a process share while their graphs are built in turn.
    """
    losses: list[Tensor] = []
    token = _added.set(losses)
    try:
        yield losses
    finally:
        _added.reset(token)


class ColdStartMethod(keras.layers.Layer):
    """A cold-start method: the class `ColdStart` of a file in mailcli/models/coldstart.

    Its constructor's keywords are its options. It is trained in one of three ways: by G_A with losses of its own
    (`co_trained`), by G_B with the click loss, or by `fit` after the ranker has been trained without it (`two_stage`).
    """

    supports_replicas: ClassVar[bool] = False
    """See RankingTower.supports_replicas."""
    two_stage: ClassVar[bool] = False
    """Whether `fit` sets this layer's variables, none of them trainable, after the ranker was trained without it."""

    continuable: ClassVar[bool] = True
    """Whether a run of it can be continued on another dataset (docs/retraining.md)."""

    needs_old_users: ClassVar[bool] = False
    """Whether it learns from training impressions of old users. Without any, the run is refused before training, as for
    every co-trained method."""

    folds: int = 0
    """Into how many folds `prepare` divides the users; more than there are users is refused before anything is
    trained."""

    training_version: ClassVar[int] = 1
    """Raised when the same options train another model than before, so that runs of before are not reused; a literal,
    which settings/class_code.py reads without importing the class. For a method of your own, the file's SHA-256 does
    this."""

    generates: ClassVar[bool] = False
    """Whether `complete` generates behavior for new users, or predicts their match with the target; tables expect an
    audit of its runs; a literal, too."""

    generates_numbers: ClassVar[bool] = False
    """Whether what it generates is `Features.prepared`, and no behavior that could be drawn; a literal, too."""

    @property
    def co_trained(self) -> bool:
        """Whether G_A trains the variables, with `zero_shot_losses`; otherwise G_B does, with the click loss."""
        return False

    @property
    def learns_from_clicks(self) -> bool:
        """Whether G_A also applies the gradient of the click loss, after G_B's update (only for co-trained methods)."""
        return False

    @property
    def update_every(self) -> int:
        """n: G_A makes its updates only in every n-th step, beginning with the first (only for co-trained methods).

        A continued run continues its parent's step count.
        """
        return 1

    @property
    def teachers(self) -> int:
        """How many teachers `prepare` asks for, by which `mail` estimates how long a run takes."""
        return 0

    def build_for(self, spec: Spec) -> None:
        """Make the variables, or refuse the dataset (ValueError)."""

    def prepare(self, training: TrainingRows) -> NDArray[np.float32] | None:
        """Before the first step: set variables that no optimizer trains, and give every training impression a number.

        It comes back in `Features.prepared`, for example as a logit to start from or to learn from. An impression's
        number must not depend on its own label: it comes from a statistic or a model of the other users. `prepare` is
        called again when a run is resumed; the variables are then those of the checkpoint.

        Returns:
            [N], NaN for an impression without such a number; None, the default, if no impression has one.
        """
        del training
        return None

    def mask_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Hide ids or behaviors of a training batch before it is embedded; by default, nothing.

        Only methods that G_B trains may hide something: the others learn from old users as they are.
        """
        return batch

    def complete(self, features: Features, training: bool = False) -> Features:
        """Fill in what new users lack, MAIL Eq. (10); the features of old users stay as they are.

        Only methods that G_B trains may change those, too: the ranker learns with what they make of them.
        """
        raise NotImplementedError

    def logits(self, ranker: Callable[..., Tensor], features: Features, training: bool = False) -> Tensor:
        """The ranker's output for completed features; a method may change it, or call other rankers too.

        The default is `ranker(features, training=training)`. What a two-stage method does here is not done in training.
        """
        return ranker(features, training=training)

    def ranking_losses(self, features: Features, click: Tensor, logit: Tensor) -> dict[str, Tensor]:
        """Terms that G_B adds to the click loss, scalars by name; by default, none.

        A name is not one of the log's own, such as `L_rt`.

        Args:
            features: of a training batch, as `mask_batch` left it, before `complete`.
            click: [B], the labels.
            logit: [B], the click logits.
        """
        del features, click, logit
        return {}

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """The terms of L_zst, scalars by names of their own, over impressions of old users (for co-trained methods).

        Keras uses the name `losses` itself.
        """
        raise NotImplementedError

    def fit(self, training: TrainingData) -> None:
        """Set the variables from a trained ranker and the training impressions (only for two-stage methods)."""
        raise NotImplementedError


class SeenBehaviors(NamedTuple):
    """The behaviors before each old user's last training impression: the last 100 of each of up to 200,000 users."""

    users: NDArray[np.int64]
    """[M], the user row of each."""
    ids: NDArray[np.int64]
    """[M], the id of the step's first field."""
    left_out: NDArray[np.int64]
    """The rows of the users with behavior beyond 200,000, chosen by the seed."""


class TrainingRows(NamedTuple):
    """The N training impressions as ids, for `ColdStartMethod.prepare`; those of all other splits are left out."""

    users: NDArray[np.int64]
    """[N], the row of each impression's user in `attributes`."""
    items: NDArray[np.int64]
    """[N], the row of its item in `target`."""
    clicks: NDArray[np.float32]
    """[N], the labels."""
    attributes: NDArray[np.int32]
    """[users, columns], ids as in a batch."""
    target: NDArray[np.int32]
    """[items, columns], ids as in a batch."""
    seed: int
    """The run's seed."""
    teach: Callable[[int], NDArray[np.float32]]
    """Number of folds K -> [N], what a teacher, who sees the real history but no user id, says of each impression: the
    click logit of the ranker, trained without a method on the users of the K - 1 other folds. NaN where no history may
    be seen."""
    behaviors: Callable[[], SeenBehaviors]
    """What old users have done."""

    def folds(self, count: int) -> NDArray[np.int64]:
        """[N], the fold of each impression, from 0; all of a user's are in one fold, drawn by the seed.

        Raises:
            MailError: there are fewer users than folds.
        """
        return user_folds(self.users, count, self.seed)


def user_folds(user: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """`TrainingRows.folds` of the users [N] of some impressions."""
    users, number = np.unique(user, return_inverse=True)
    check_folds(len(users), count)
    fold: NDArray[np.int64] = np.random.default_rng([seed, USER_FOLDS]).permutation(len(users))[number] % count
    return fold


def check_folds(users: int, count: int) -> None:
    """Refuse more folds than there are users in the training split (MailError)."""
    if users < count:
        expected = f"{users} or fewer" if users > 1 else "a training split with more users"
        raise MailError(f"folds = {count}: the training split has {counted(users, 'user')}. Expected {expected}.")


class TrainingData(NamedTuple):
    """What a two-stage method is fitted on: the N training impressions, with nothing filled in."""

    features: Callable[[], Iterator[Features]]
    """Starts a new pass over them, in batches."""
    gather: Callable[[NDArray[np.int64]], Features]
    """The features of the impressions at some indices."""
    clicks: NDArray[np.float32]
    """[N], their labels."""
    users: NDArray[np.int64]
    """[N], the user row of each."""
    old: NDArray[np.bool_]
    """[N], whether the user has earlier behavior that is not hidden: nobody who is drawn as new has any."""
    ranker: Callable[[Features], Tensor]
    """The trained ranker, at inference: click logits [B]."""
    seed: int
    """The run's seed."""

    def last_impressions(self) -> NDArray[np.int64]:
        """[old users], the index of each one's last impression, whose history is the longest, by user row."""
        old = np.flatnonzero(self.old)
        return last_impressions(old, self.users[old])

    def old_users(self) -> Iterator[Features]:
        """The last impression of each old user, in batches."""
        indices = self.last_impressions()
        for start in range(0, len(indices), USER_BATCH_SIZE):
            yield self.gather(indices[start : start + USER_BATCH_SIZE])


def options_of(cls: Any) -> dict[str, Any]:
    """The constructor's keywords and their defaults: the options that `--set` takes."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if owner.__module__.startswith("keras."):
        return {}
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
