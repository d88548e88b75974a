"""What rankers and cold-start methods see of a batch: embedded features, and behavior invented for new users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from mailcli.data.schema import Schema

#: A tf.Tensor; TensorFlow's own annotations cannot be checked.
Tensor: TypeAlias = Any


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
        """The vocabulary of a behavior step's first field, e.g. the category."""
        return self.schema.group("behavior")[0].vocabulary


class Features(NamedTuple):
    """A batch of B impressions, embedded: x = {a, v, c, t} of MAIL Sec. 3.1."""

    attributes: Tensor
    """a [B, n_a, d]; a multi-valued attribute is the mean of its values"""
    behaviors: Tensor
    """v [B, n_v, d]; v_i = (sum of the step's field embeddings) ⊙ embedding(action); most recent last, zeros before"""
    behavior_mask: Tensor
    """[B, n_v] bool, true where there is a behavior"""
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
    """[B, d], the target as a behavior step has it: the sum of the fields that the two share, without an action"""
    action_ids: Tensor
    """[B, n_v], each step's action, a row of `action_table`; 0 where there is no real behavior"""
    action_table: Tensor
    """[actions + 2, d], the embeddings of all actions, the same for every impression; row 0 is zero"""
    step_ids: Tensor
    """[B, n_v], the id of each step's first field in its vocabulary; 0 where there is no real behavior"""
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
        counts: [n_v] bool, which steps count as behavior; None for all.
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


def mean_behavior(features: Features) -> Tensor:
    """[B, d], the mean of the real steps; zeros for an empty history."""
    count = tf.reduce_sum(tf.cast(features.behavior_mask, features.behavior_sum.dtype), axis=1, keepdims=True)
    return tf.math.divide_no_nan(features.behavior_sum, count)
