"""A batch as rankers and cold-start methods see it: embedded features, and behavior generated for new users."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from mailcli.data.schema import Schema

#: A tf.Tensor; mypy cannot check TensorFlow's own annotations.
Tensor: TypeAlias = Any


def first_rows(schema: Schema, vocabulary_sizes: dict[str, int]) -> dict[str, int]:
    """The first row of each vocabulary in a table that holds one after the other."""
    names = schema.vocabularies()
    return dict(zip(names, accumulate((vocabulary_sizes[name] for name in names), initial=0), strict=False))


class Spec(NamedTuple):
    """What a model is built for."""

    schema: Schema
    vocabulary_sizes: dict[str, int]
    """Ids per vocabulary, including padding and unknown."""
    rows: int
    """Rows of the shared table."""
    history: int
    """n_v"""
    dim: int
    """d"""

    @property
    def n_a(self) -> int:
        """The number of attributes."""
        return len(self.schema.group("attributes"))

    @property
    def id_index(self) -> int:
        """The index of the user id among the attributes."""
        return [field.vocabulary for field in self.schema.group("attributes")].index(self.schema.user)

    @property
    def id_column(self) -> int:
        """The column of the user id among a batch's columns of attributes, of which a multi-valued one has several."""
        return sum(field.values for field in self.schema.group("attributes")[: self.id_index])

    @property
    def first_row(self) -> dict[str, int]:
        """The first row of each vocabulary in the shared table."""
        return first_rows(self.schema, self.vocabulary_sizes)

    @property
    def step_vocabulary(self) -> str:
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
    """[B, d], Σ v_i, or what a method predicts for it; a ranker that reads this instead of `behaviors` keeps
    [B, n_v, d] out of the scoring graph"""
    context: Tensor
    """c [B, n_c, d]"""
    target: Tensor
    """t [B, n_t, d]; a multi-valued field is the mean of its values"""
    dense: Tensor
    """[B, n_dense], standardized numbers of the item"""
    is_new: Tensor
    """[B] bool, flag = (v is empty), MAIL Eq. (9)"""
    query: Tensor
    """[B, d], the target in the form of a behavior step: the sum of the fields that both have, without an action"""
    action_ids: Tensor
    """[B, n_v], the action of each step, a row of `action_table`; 0 where there is no behavior"""
    action_table: Tensor
    """[actions + 3, d], the embeddings of all actions, the same for every impression; row 0 is zero, row 1 that of an
    unknown action, and the last row the mean of the actions, which generated steps have"""
    step_ids: Tensor
    """[B, n_v], the id of each step's first field, e.g. its category; 0 where there is no real behavior"""
    target_id: Tensor
    """[B], the target's id in the same vocabulary"""
    table_rows: Tensor
    """[B, n], the rows of the shared table behind a, c and t; 0 where a multi-valued field has no value"""
    user: Tensor
    """[B], a number that identifies the user; it has no embedding"""
    prepared: Tensor
    """[B] float32, the number that the method's `prepare` gave a training impression; NaN where it gave none, and in
    the other splits"""

    def rows(self, index: Tensor) -> Features:
        """The impressions at some indices of the batch."""
        tensors = {name: tf.gather(x, index) for name, x in self._asdict().items() if name != "action_table"}
        return self._replace(**tensors)

    def frozen(self) -> Features:
        """The same values, without gradients to the embeddings."""
        return Features(*(tf.stop_gradient(tensor) for tensor in self))


def replace_behaviors(
    features: Features, index: Tensor, behaviors: Tensor, total: Tensor, mask: Tensor | None = None
) -> Features:
    """Replace v at some indices of the batch.

    Steps in the mask get the mean action (the last row of `action_table`), the others action 0, like padding. `is_new`
    and `step_ids` stay as they are.

    Args:
        index: [M], indices in the batch.
        behaviors: [M, n_v, d].
        total: [M, d], their sum over n_v.
        mask: [M, n_v] bool, which steps count as real; None for all.
    """
    index = index[:, None]
    real = tf.ones_like(behaviors[:, :, 0], dtype=tf.bool) if mask is None else mask
    actions = tf.cast(real, features.action_ids.dtype) * (features.action_table.shape[0] - 1)
    return features._replace(
        action_ids=tf.tensor_scatter_nd_update(features.action_ids, index, actions),
        behaviors=tf.tensor_scatter_nd_update(features.behaviors, index, behaviors),
        behavior_mask=tf.tensor_scatter_nd_update(features.behavior_mask, index, real),
        behavior_sum=tf.tensor_scatter_nd_update(features.behavior_sum, index, total),
    )


def first_of_each_user(user: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The first of the given impressions of each user, and for each impression the position of its user among these.

    Args:
        user: [B], the users of the batch.
        index: [M], indices in the batch.

    Returns:
        ([users], indices in the batch; [M], positions from 0 to users - 1).
    """
    users, user_index = tf.unique(tf.gather(user, index))
    return tf.math.unsorted_segment_min(index, user_index, tf.size(users)), user_index


def with_generated_behavior(
    features: Features, generate: Callable[[Tensor], tuple[Tensor, ...]], step_mask: Tensor | None = None
) -> Features:
    """Put v̂ in place of v where flag is true, MAIL Eq. (10); it is generated once per user of the batch.

    Args:
        generate: attributes a [users, n_a, d] -> v̂ [users, n_v, d] and its sum over n_v [users, d]; and, where that
            differs from user to user, which steps count as behavior, [users, n_v] bool.
        step_mask: [n_v] bool, which steps count as behavior, for all users; None for all steps. The others become
            zero.
    """
    new = tf.where(features.is_new)[:, 0]
    first_impressions, user_index = first_of_each_user(features.user, new)
    v_hat, total, *masks = generate(tf.gather(features.attributes, first_impressions))
    v_hat, total = (tf.cast(x, features.behaviors.dtype) for x in (v_hat, total))
    mask = masks[0] if masks else tf.ones_like(v_hat[:, :, 0], tf.bool)
    if step_mask is not None:
        mask &= step_mask[None]
    v_hat *= tf.cast(mask, v_hat.dtype)[:, :, None]
    v_hat, total, mask = (tf.gather(x, user_index) for x in (v_hat, total, mask))
    return replace_behaviors(features, new, v_hat, total, mask)


def without_behaviors(features: Features, hidden: Tensor) -> Features:
    """Empty the histories where `hidden` [B] is true, as if the users were new."""
    visible = ~hidden
    factor = tf.cast(visible, features.behaviors.dtype)[:, None]
    id_factor = tf.cast(visible, features.step_ids.dtype)[:, None]
    return features._replace(
        behaviors=features.behaviors * factor[:, :, None],
        behavior_mask=features.behavior_mask & visible[:, None],
        behavior_sum=features.behavior_sum * factor,
        action_ids=features.action_ids * id_factor,
        step_ids=features.step_ids * id_factor,
        is_new=features.is_new | hidden,
    )


def mean_behavior(features: Features) -> Tensor:
    """The mean of the real steps, [B, d]; zeros for an empty history."""
    count = tf.reduce_sum(tf.cast(features.behavior_mask, features.behavior_sum.dtype), axis=1, keepdims=True)
    return tf.math.divide_no_nan(features.behavior_sum, count)
