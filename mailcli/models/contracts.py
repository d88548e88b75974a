"""What rankers and cold-start methods see and what they must offer. They know nothing of each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from mailcli.models.features import Features, Spec, Tensor

#: Users that are gathered together (ours: the paper's batch).
USERS_AT_ONCE = 1024
# What `add_loss` was given in this thread, one of a replica, since `added_losses` began.
_added: ContextVar[list[Tensor] | None] = ContextVar("added", default=None)


class RankingTower(keras.layers.Layer):
    """A ranker: the class `Ranker` of a file in mailcli/rankers. Its constructor's keywords are its options."""

    by_shares: ClassVar[bool] = False
    """Of outside code: whether it may run on several replicas, that is, whether all that mixes the rows of a batch,
    and all random numbers, come from mailcli.models.layers, .losses and .distribute (docs/SCALING.md)."""

    def add_loss(self, loss: Tensor) -> None:
        """As Keras has it; on several replicas, a share."""
        kept = _added.get()
        if kept is None:
            super().add_loss(loss)
        else:
            kept.append(loss)

    def build_for(self, spec: Spec) -> None:
        """Make the variables whose shapes depend on the dataset, or refuse it (ValueError)."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits of a click [B]; or {"click": [B], "conversion": [B]}, the second of a conversion after a click."""
        raise NotImplementedError


@contextmanager
def added_losses() -> Iterator[list[Tensor]]:
    """What rankers add inside.

    Keras keeps such losses in the layer, which the replicas of one process share while their steps are made by turns.
    """
    kept: list[Tensor] = []
    token = _added.set(kept)
    try:
        yield kept
    finally:
        _added.reset(token)


class ColdStartMethod(keras.layers.Layer):
    """A cold-start method, class `ColdStart` of a file in mailcli/coldstart; its constructor's keywords are options.

    There are three ways to train one: by G_A with losses of its own (`co_trained`), by G_B with the click loss, or by
    `fit` after the ranker has been trained without it (`two_stage`).
    """

    by_shares: ClassVar[bool] = False
    """As RankingTower.by_shares."""
    two_stage: ClassVar[bool] = False
    """Whether `fit` sets this layer's variables, none of them trainable, once the ranker has been trained alone."""

    @property
    def co_trained(self) -> bool:
        """Whether G_A trains this layer's variables by `zero_shot_losses`; otherwise G_B does, by the click loss."""
        return False

    def build_for(self, spec: Spec) -> None:
        """Make the variables, or refuse the dataset (ValueError)."""

    def complete(self, features: Features, training: bool = False) -> Features:
        """The features with what new users lack filled in, MAIL Eq. (10); those of old users stay as they are."""
        raise NotImplementedError

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """The terms of L_zst by name, scalars, over impressions of old users (only for co-trained methods).

        They are not named `losses`, which Keras takes for itself.
        """
        raise NotImplementedError

    def fit(self, training: TrainingData) -> None:
        """Set the variables from a trained ranker and the training impressions (only for two-stage methods)."""
        raise NotImplementedError


class TrainingData(NamedTuple):
    """What a two-stage method is fitted on: the N training impressions, nothing completed."""

    features: Callable[[], Iterator[Features]]
    """A new pass over them, in batches."""
    gather: Callable[[NDArray[np.int64]], Features]
    """The features of some, by their places."""
    clicks: NDArray[np.float32]
    """[N], their labels."""
    users: NDArray[np.int64]
    """[N], the user row of each."""
    old: NDArray[np.bool_]
    """[N], whether the user has behavior before it."""
    ranker: Callable[[Features], Tensor]
    """The trained ranker, at inference: click logits [B]."""
    seed: int

    def last_of_each(self) -> NDArray[np.int64]:
        """[old users], the place of each one's last impression, which shows its longest history, by user row."""
        places = np.flatnonzero(self.old)
        # The dataset's impressions are in the order of time within a user.
        return places[len(places) - 1 - np.unique(self.users[places][::-1], return_index=True)[1]]

    def old_users(self) -> Iterator[Features]:
        """The last impression of each old user, in batches."""
        places = self.last_of_each()
        for start in range(0, len(places), USERS_AT_ONCE):
            yield self.gather(places[start : start + USERS_AT_ONCE])


def options_of(cls: Any) -> dict[str, Any]:
    """The constructor's keywords and their defaults: the options that `--set` takes."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if owner.__module__.startswith("keras."):
        return {}
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
