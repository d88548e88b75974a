"""Building blocks that several rankers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mailcli.models.contracts import RankingTower
from mailcli.models.features import Features, Spec, Tensor
from mailcli.models.layers import MASKED_SCORE, BatchNormalization, Dropout, leaky_relu, weighted_sum
from mailcli.models.sparse_ops import gather_masked, gather_rows, scatter_masked
from mailcli.utils.option_checks import check_rates

#: Widths of the attention scorers of DIN (Sec. 4.3) and DMR (published code).
SCORER_UNITS = (80, 40)


def pooled(features: Features) -> Tensor:
    """[Σ a_i, Σ v_i, Σ c_i, Σ t_i, dense], [B, 4d + n_dense]: MAIL Eq. (11)."""
    a, c, t = (tf.reduce_sum(group, axis=1) for group in (features.attributes, features.context, features.target))
    return tf.concat([a, features.behavior_sum, c, t, features.dense], axis=1)


def field_embeddings(features: Features) -> Tensor:
    """The embeddings of all fields and the pooled behavior, one vector each: [B, n_a + n_c + n_t + 1, d].

    Behavior is averaged over all n_v positions, padding included: generated histories are reconstructed with theirs.
    """
    behavior = features.behavior_sum / features.behaviors.shape[1]
    parts = (features.attributes, features.context, features.target, behavior[:, None])
    return tf.concat(parts, axis=1)


def flat_field_embeddings(features: Features) -> Tensor:
    """`field_embeddings` and the dense features, concatenated: [B, (n_a + n_c + n_t + 1) d + n_dense]."""
    fields = field_embeddings(features)
    return tf.concat([tf.reshape(fields, [-1, fields.shape[1] * fields.shape[2]]), features.dense], axis=1)


class Tower(keras.layers.Layer):
    """h = LeakyReLU(BN(Dense(Dropout(h)))) for each width: MAIL Eq. (12).

    Args:
        units: widths of the layers.
        dropout: rate before each layer.
    """

    def __init__(self, units: Sequence[int], dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_rates(dropout=dropout)
        self.hidden = [keras.layers.Dense(width) for width in units]
        self.norm = [BatchNormalization() for _ in units]
        self.dropout = [Dropout(dropout) for _ in units]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """x [B, n] -> [B, units[-1]]."""
        for hidden, norm, dropout in zip(self.hidden, self.norm, self.dropout, strict=True):
            x = leaky_relu(norm(hidden(dropout(x, training=training)), training=training))
        return x


class TowerRanker(RankingTower):
    """A ranker with logit Dense_1(tower(x)); each subclass has an x of its own.

    Args:
        units: widths of the hidden layers (MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (MAIL Sec. 4.1.4).
    """

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tower = Tower(units, dropout)
        self.logit = keras.layers.Dense(1, dtype="float32")

    def deep(self, x: Tensor, training: bool) -> Tensor:
        """Dense_1(tower(x)), [B]."""
        return self.logit(self.tower(x, training=training))[:, 0]


class Wide(keras.layers.Layer):
    """Σ w[id] over the ids of a, c and t, plus the dense features times their weights: logistic regression on ids.

    Call: features -> [B].
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def build_for(self, spec: Spec) -> None:
        """Make one weight per row of the shared table, initially zero."""
        self.weight = self.add_weight(shape=(spec.rows,), initializer="zeros", name="weight")
        if spec.schema.dense:
            self.dense_weight = self.add_weight(shape=(len(spec.schema.dense), 1), initializer="zeros", name="dense")
        self.built = True

    def call(self, features: Features) -> Tensor:
        """The linear part of the logit."""
        rows = features.table_rows
        weights = tf.gather(self.weight.value, rows) * tf.cast(rows != 0, self.compute_dtype)
        logit = tf.reduce_sum(weights, axis=1)
        if features.dense.shape[1]:
            logit += tf.matmul(features.dense, self.dense_weight)[:, 0]
        return logit


class WideRanker(TowerRanker):
    """A ranker with a wide part, logistic regression on ids, next to its tower."""

    def build_for(self, spec: Spec) -> None:
        """Make the weights of the ids."""
        self.wide = Wide()
        self.wide.build_for(spec)


class StepScorer(keras.layers.Layer):
    """Scores each behavior step against a query, with a network on [q, h, q - h, q ⊙ h].

    Args:
        activation: of the hidden layers.
        units: widths of the hidden layers.

    Call: queries [M, d], steps [M, d] -> [M].
    """

    def __init__(self, activation: str, units: Sequence[int] = SCORER_UNITS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.activate = keras.activations.get(activation)
        self.rest = [keras.layers.Dense(width, activation=activation) for width in units[1:]]
        self.score = keras.layers.Dense(1)

    def build(self, query_shape: Sequence[int | None], steps_shape: Sequence[int | None]) -> None:
        """Make the weights; `kernel` has the rows for q, h, q - h and q ⊙ h, in this order."""
        del query_shape
        dim = steps_shape[-1]
        assert dim is not None
        self.kernel = self.add_weight(shape=(4 * dim, self.units[0]), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.units[0],), initializer="zeros", name="bias")
        for layer, width in zip([*self.rest, self.score], self.units, strict=True):
            layer.build((None, width))
        self.built = True

    def call(self, query: Tensor, steps: Tensor) -> Tensor:
        """Raw scores of pairs of a query and a step."""
        query_rows, step_rows, difference_rows, product_rows = tf.split(self.kernel.value, 4)
        # W [q, h, q - h, q ⊙ h] = W' [q, h, q ⊙ h]: q - h needs no input of its own.
        kernel = tf.concat([query_rows + difference_rows, step_rows - difference_rows, product_rows], axis=0)
        hidden = self.activate(tf.matmul(tf.concat([query, steps, query * steps], axis=1), kernel) + self.bias)
        for layer in self.rest:
            hidden = layer(hidden)
        return self.score(hidden)[:, 0]


class RealSteps(NamedTuple):
    """The M real behavior steps of a batch, concatenated: nothing is computed for padding and empty histories."""

    mask: Tensor
    """[B, n_v]"""
    indices: Tensor
    """[M, 2], the impression and the position of each."""
    steps: Tensor
    """[M, d]"""

    @classmethod
    def from_mask(cls, behaviors: Tensor, mask: Tensor) -> RealSteps:
        """The steps of v [B, n_v, d] where the mask [B, n_v] is true."""
        return cls(mask, tf.where(mask), gather_masked(behaviors, mask))

    def per_step(self, per_impression: Tensor) -> Tensor:
        """[B, n] -> [M, n], the row of each step's impression."""
        return gather_rows(per_impression, self.indices[:, 0])

    def to_histories(self, scores: Tensor) -> Tensor:
        """[M] -> [B, n_v], zeros elsewhere."""
        return scatter_masked(scores[:, None], self.mask)[:, :, 0]


def attend(scores: Tensor, mask: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the real steps: weights [B, n_v] and the weighted history [B, d] (zeros where there is none)."""
    weights = tf.nn.softmax(tf.where(mask, scores, MASKED_SCORE))
    return weights, weighted_sum(weights * tf.cast(mask, weights.dtype), steps)
