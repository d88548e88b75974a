"""What rankers and cold-start methods see and what they must offer. They know nothing of each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.schema import Schema

#: Users that are gathered together (ours: the paper's batch).
USERS_AT_ONCE = 1024
#: A tf.Tensor; TensorFlow's own annotations cannot be checked.
Tensor: TypeAlias = Any
# What `add_loss` was given in this thread, one of a replica, since `added_losses` began.
_added: ContextVar[list[Tensor] | None] = ContextVar("added", default=None)


class Spec(NamedTuple):
    """What a model is built for."""

    schema: Schema
    vocabulary_sizes: dict[str, int]
    """Ids of each vocabulary, padding and unknown included."""
    rows: int
    """Rows of the shared table."""
    history: int
    """n_v"""
    dim: int
    """d"""

    @property
    def n_a(self) -> int:
        """How many attributes there are."""
        return len(self.schema.group("attributes"))

    @property
    def id_place(self) -> int:
        """The place of the user's id among the attributes."""
        return [field.vocabulary for field in self.schema.group("attributes")].index(self.schema.user)

    @property
    def steps_vocabulary(self) -> str:
        """The vocabulary of a behaviour step's first field, e.g. the category."""
        return self.schema.group("behavior")[0].vocabulary


class Features(NamedTuple):
    """A batch of B impressions, embedded: x = {a, v, c, t} of MAIL Sec. 3.1."""

    attributes: Tensor
    """a [B, n_a, d]; a multi-valued attribute is the mean of its values"""
    behaviors: Tensor
    """v [B, n_v, d]; v_i = (sum of the step's field embeddings) ⊙ embedding(action); most recent last, zeros before"""
    behavior_mask: Tensor
    """[B, n_v] bool, true where there is a behaviour"""
    behavior_sum: Tensor
    """[B, d], Σ v_i: a ranker that reads this instead of `behaviors` spares a graph the making of [B, n_v, d]"""
    context: Tensor
    """c [B, n_c, d]"""
    target: Tensor
    """t [B, n_t, d]; a multi-valued field is the mean of its values"""
    dense: Tensor
    """[B, n_dense], standardised numbers of the item"""
    is_new: Tensor
    """[B] bool, flag = (v is empty), MAIL Eq. (9)"""
    query: Tensor
    """[B, d], the target as a behaviour step has it: the sum of the fields that the two share, without an action"""
    action_ids: Tensor
    """[B, n_v], each step's action, a row of `action_table`; 0 where there is no real behaviour"""
    action_table: Tensor
    """[actions + 2, d], the embeddings of all actions, the same for every impression; row 0 is zero"""
    step_ids: Tensor
    """[B, n_v], the id of each step's first field in its vocabulary; 0 where there is no real behaviour"""
    target_id: Tensor
    """[B], the target's id in the same vocabulary"""
    table_rows: Tensor
    """[B, n], the rows of the shared table that a, c and t come from; 0 where a multi-valued field has no value"""
    user: Tensor
    """[B], a number of the user that tells impressions of one from those of another; it has no embedding"""

    def rows(self, index: Tensor) -> Features:
        """The impressions at some places of the batch."""
        parts = {name: tf.gather(part, index) for name, part in self._asdict().items() if name != "action_table"}
        return self._replace(**parts)

    def frozen(self) -> Features:
        """The same values; no gradient flows back into the embeddings."""
        return Features(*(tf.stop_gradient(tensor) for tensor in self))


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
    """[N], whether the user has behaviour before it."""
    ranker: Callable[[Features], Tensor]
    """The trained ranker, at inference: click logits [B]."""
    seed: int

    def last_of_each(self) -> NDArray[np.int64]:
        """[old users], the place of each one's last impression, which shows its longest history, by user row."""
        places = np.flatnonzero(self.old)
        # The store's impressions are in the order of time within a user.
        return places[len(places) - 1 - np.unique(self.users[places][::-1], return_index=True)[1]]

    def old_users(self) -> Iterator[Features]:
        """The last impression of each old user, in batches."""
        places = self.last_of_each()
        for start in range(0, len(places), USERS_AT_ONCE):
            yield self.gather(places[start : start + USERS_AT_ONCE])


def replace_behaviors(
    features: Features, index: Tensor, behaviors: Tensor, total: Tensor, mask: Tensor | None = None
) -> Features:
    """The features with v replaced at some places of the batch.

    Args:
        index: [M], places in the batch.
        behaviors: [M, n_v, d].
        total: [M, d], their sum over n_v.
        mask: [M, n_v] bool, which steps count as real; None for all.
    """
    at = index[:, None]
    real = tf.ones_like(behaviors[:, :, 0], dtype=tf.bool) if mask is None else mask
    return features._replace(
        behaviors=tf.tensor_scatter_nd_update(features.behaviors, at, behaviors),
        behavior_mask=tf.tensor_scatter_nd_update(features.behavior_mask, at, real),
        behavior_sum=tf.tensor_scatter_nd_update(features.behavior_sum, at, total),
    )


def invent_behaviors(
    features: Features, generate: Callable[[Tensor], tuple[Tensor, Tensor]], counts: Tensor | None = None
) -> Features:
    """v̂ in place of v where flag is true, MAIL Eq. (10), made once for all impressions of a user in the batch.

    Args:
        generate: attributes a [users, n_a, d] -> v̂ [users, n_v, d] and its sum over n_v [users, d].
        counts: [n_v] bool, which steps count as behaviour; None for all.
    """
    new = tf.where(features.is_new)[:, 0]
    users, place = tf.unique(tf.gather(features.user, new))
    one_of_each = tf.math.unsorted_segment_min(new, place, tf.size(users))
    made = generate(tf.gather(features.attributes, one_of_each))
    v_hat, total = (tf.cast(part, features.behaviors.dtype) for part in made)
    mask = None if counts is None else tf.tile(counts[None], [tf.size(new), 1])
    return replace_behaviors(features, new, tf.gather(v_hat, place), tf.gather(total, place), mask)


def without_behaviors(features: Features, hidden: Tensor) -> Features:
    """The features with empty histories where `hidden` [B] is true, as new users have them."""
    kept = ~hidden
    each = tf.cast(kept, features.behaviors.dtype)[:, None]
    ids = tf.cast(kept, features.step_ids.dtype)[:, None]
    return features._replace(
        behaviors=features.behaviors * each[:, :, None],
        behavior_mask=features.behavior_mask & kept[:, None],
        behavior_sum=features.behavior_sum * each,
        action_ids=features.action_ids * ids,
        step_ids=features.step_ids * ids,
        is_new=features.is_new | hidden,
    )


def options_of(cls: Any) -> dict[str, Any]:
    """The constructor's keywords and their defaults: the options that `--set` takes."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if owner.__module__.startswith("keras."):
        return {}
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
