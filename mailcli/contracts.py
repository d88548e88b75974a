"""What rankers and cold-start methods see and what they must offer. They know nothing of each other."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

#: A tf.Tensor; TensorFlow's own annotations cannot be checked.
Tensor: TypeAlias = Any


class Features(NamedTuple):
    """A batch of B impressions, embedded: x = {a, v, c, t} of MAIL Sec. 3.1."""

    attributes: Tensor
    """a [B, n_a, d]"""
    behaviors: Tensor
    """v [B, n_v, d]; v_i = (sum of the step's field embeddings) ⊙ embedding(action); most recent last, zeros before"""
    behavior_mask: Tensor
    """[B, n_v] bool, true where there is a behaviour"""
    context: Tensor
    """c [B, n_c, d]"""
    target: Tensor
    """t [B, n_t, d]; a multi-valued field is the mean of its values"""
    dense: Tensor
    """[B, n_dense], standardised numbers of the item"""
    is_new: Tensor
    """[B] bool, flag = (v is empty), MAIL Eq. (9)"""

    def rows(self, index: Tensor) -> Features:
        """The impressions at some places of the batch."""
        return Features(*(tf.gather(tensor, index) for tensor in self))

    def frozen(self) -> Features:
        """The same values; no gradient flows back into the embeddings."""
        return Features(*(tf.stop_gradient(tensor) for tensor in self))


class RankingTower(keras.layers.Layer):
    """A ranker: the class `Ranker` of a file in mailcli/rankers. Its constructor's keywords are its options."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]."""
        raise NotImplementedError


class ColdStartMethod(keras.layers.Layer):
    """A cold-start method, class `ColdStart` of a file in mailcli/coldstart; its constructor's keywords are options."""

    @property
    def co_trained(self) -> bool:
        """Whether G_A trains this layer's variables by `zero_shot_losses`; otherwise G_B does, by the click loss."""
        return False

    def build_for(self, n_a: int, n_v: int, dim: int) -> None:
        """Make the variables for attributes [B, n_a, dim] and behaviours [B, n_v, dim]."""

    def complete(self, features: Features, training: bool = False) -> Features:
        """The features with what new users lack filled in, MAIL Eq. (10); those of old users stay as they are."""
        raise NotImplementedError

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """The terms of L_zst by name, scalars, over impressions of old users (only for co-trained methods).

        The name `losses`, which DESIGN.md gives, is taken by Keras.
        """
        raise NotImplementedError


def replace_behaviors(features: Features, index: Tensor, behaviors: Tensor) -> Features:
    """The features with v replaced at some places of the batch, every step of it then counting as real.

    Args:
        index: [M], places in the batch.
        behaviors: [M, n_v, d].
    """
    at = index[:, None]
    real = tf.ones_like(behaviors[:, :, 0], dtype=tf.bool)
    return features._replace(
        behaviors=tf.tensor_scatter_nd_update(features.behaviors, at, behaviors),
        behavior_mask=tf.tensor_scatter_nd_update(features.behavior_mask, at, real),
    )


def options_of(cls: Any) -> dict[str, Any]:
    """The constructor's keywords and their defaults: the options that `--set` takes."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if owner.__module__.startswith("keras."):
        return {}
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
