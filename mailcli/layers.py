"""Small layers that several parts share: the embedding table, attention pooling, the residual encoder and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

from mailcli.contracts import Features, Spec, Tensor
from mailcli.schema import FIRST_ID, PADDING, Schema

#: Slope of LeakyReLU for negative inputs; the paper does not tell, this is TensorFlow's own default.
NEGATIVE_SLOPE = 0.2
#: Half-width of the `small` initialisation of embeddings (ours: 0.1 and 0.03 of Xavier's did alike on ml-100k).
SMALL = 0.01
#: Score of a masked place before a softmax: exp(x - max) is exactly 0 in float32.
MASKED = -1e9


class FeatureEmbedding(keras.layers.Layer):
    """The shared embedding lookup table: all categorical fields of a batch -> Features (MAIL Sec. 3.1).

    One variable [sum of the vocabularies' sizes, d]; a field's ids are moved to its vocabulary's part of the table.
    Xavier initialisation with fan_in = fan_out = d, U(±√(3/d)), so that the scale does not depend on the vocabulary; or
    `small`, U(±0.01) with every action at one, so that v_i begins as the embedding of its item.

    Args:
        schema: the fields and their groups.
        vocabulary_sizes: ids of each vocabulary, padding and unknown included.
        dim: d.
        init: "xavier" (MAIL Algorithm 1) or "small" (ours).
    """

    def __init__(
        self, schema: Schema, vocabulary_sizes: dict[str, int], dim: int, init: str = "xavier", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.schema = schema
        self.dim = dim
        self.init = init
        self.vocabulary_sizes = vocabulary_sizes
        self.start: dict[str, int] = {}
        rows = 0
        for name in schema.vocabularies():
            self.start[name] = rows
            rows += vocabulary_sizes[name]
        self.action_start = rows
        self.rows = rows + FIRST_ID + len(schema.actions)

    def build(self, *_: Any) -> None:
        """Make the table."""
        limit = SMALL if self.init == "small" else (3 / self.dim) ** 0.5
        self.table = self.add_weight(
            shape=(self.rows, self.dim),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="table",
        )
        if self.init == "small":
            actions = tf.range(self.rows)[:, None] >= self.action_start
            self.table.assign(tf.where(actions, 1.0, self.table.value))
        self.built = True

    def call(self, batch: dict[str, Tensor]) -> Features:
        """Embed a batch (the arrays of mailcli.batches.Batch, as tensors)."""
        mask = batch["actions"] != PADDING
        real = tf.cast(mask, self.compute_dtype)[:, :, None]
        steps = tf.reduce_sum(self._lookup(self._rows("behavior", batch["behaviors"])), axis=2)
        actions = self._lookup(batch["actions"] + self.action_start)
        attributes, context = (self._rows(group, batch[group]) for group in ("attributes", "context"))
        target = self._target_rows(batch["target"])
        fields = self._target(target, batch["target"])
        return Features(
            attributes=self._lookup(attributes),
            behaviors=steps * actions * real,
            behavior_mask=mask,
            context=self._lookup(context),
            target=fields,
            dense=batch["dense"],
            is_new=~tf.reduce_any(mask, axis=1),
            query=tf.add_n([fields[:, place] for place in self._shared]),
            actions=actions * real,
            step_ids=batch["behaviors"][:, :, 0],
            target_id=batch["target"][:, self._column(self._shared[0])],
            table_rows=tf.concat([attributes, context, tf.where(batch["target"] != PADDING, target, 0)], axis=1),
        )

    def spec(self, history: int) -> Spec:
        """What rankers and cold-start methods are built for."""
        return Spec(self.schema, self.vocabulary_sizes, self.rows, history, self.dim)

    @property
    def _shared(self) -> list[int]:
        """The places among the target's fields of what behaviours and targets have in common, in the steps' order."""
        of_target = [field.vocabulary for field in self.schema.group("target")]
        return [of_target.index(field.vocabulary) for field in self.schema.group("behavior")]

    def _column(self, place: int) -> int:
        """The first column of a target field's values."""
        return sum(field.values for field in self.schema.group("target")[:place])

    def _lookup(self, rows: Tensor) -> Tensor:
        return tf.gather(self.table.value, rows)

    def _rows(self, group: Any, ids: Tensor) -> Tensor:
        return ids + tf.constant([self.start[field.vocabulary] for field in self.schema.group(group)], tf.int32)

    def _target_rows(self, ids: Tensor) -> Tensor:
        starts = [self.start[field.vocabulary] for field in self.schema.group("target") for _ in range(field.values)]
        return ids + tf.constant(starts, tf.int32)

    def _target(self, rows: Tensor, ids: Tensor) -> Tensor:
        parts = []
        for place, field in enumerate(self.schema.group("target")):
            columns = slice(self._column(place), self._column(place) + field.values)
            values = self._lookup(rows[:, columns])
            real = tf.cast(ids[:, columns] != PADDING, values.dtype)[:, :, None]
            parts.append(tf.reduce_sum(values * real, axis=1) / tf.reduce_sum(real, axis=1))
        return tf.stack(parts, axis=1)


class AttentionPooling(keras.layers.Layer):
    """h = Σ α_i x_i with α = softmax(e), e_i = zᵀ tanh(w x_i + b): MAIL Eqs. (1)-(2).

    Args:
        units: d_r, the width of the attention (the paper does not tell it).

    Call: x [B, n, d], mask [B, n] bool or None -> [B, d]; zeros where every place is masked.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(units, activation="tanh")
        self.score = keras.layers.Dense(1, use_bias=False)

    def build(self, shape: Sequence[int | None], *_: Any) -> None:
        """Make w, b and z."""
        self.hidden.build(shape)
        self.score.build((*shape[:-1], self.hidden.units))
        self.built = True

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool over the second axis."""
        e = self.score(self.hidden(x))[:, :, 0]
        if mask is None:
            return tf.einsum("bn,bnd->bd", tf.nn.softmax(e), x)
        alpha = tf.nn.softmax(tf.where(mask, e, MASKED)) * tf.cast(mask, e.dtype)
        return tf.einsum("bn,bnd->bd", alpha, x)


class ResidualEncoder(keras.layers.Layer):
    """MAIL Eq. (15): h -> p, each layer seeing the input again.

    z1 = LeakyReLU(Dense(Dropout(h))); z2 = LeakyReLU(Dense(Dropout([z1, h]))); p = LeakyReLU(Dense([z2, h])).

    Args:
        units: widths of z1, z2 and p.
        dropout: rate of the two dropouts.
    """

    def __init__(self, units: Sequence[int], dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = [keras.layers.Dense(width) for width in units]
        self.dropout = [keras.layers.Dropout(dropout) for _ in units[:-1]]

    def build(self, shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of the given shape."""
        _build_residual(self.dense, shape[-1])
        self.built = True

    def call(self, h: Tensor, training: bool = False) -> Tensor:
        """h [B, d] -> p [B, units[-1]]."""
        z1 = leaky_relu(self.dense[0](self.dropout[0](h, training=training)))
        z2 = leaky_relu(self.dense[1](self.dropout[1](tf.concat([z1, h], axis=1), training=training)))
        return leaky_relu(self.dense[2](tf.concat([z2, h], axis=1)))


class ResidualDecoder(keras.layers.Layer):
    """MAIL Eq. (16): p -> a flattened sequence of embeddings, linear at the end.

    z3 = LeakyReLU(Dense(Dropout(p))); z4 = LeakyReLU(Dense(Dropout([z3, p]))); out = Dense([z4, p]).

    Args:
        units: widths of z3 and z4.
        outputs: n · d, the length of what is reconstructed.
        dropout: rate of the two dropouts.
    """

    def __init__(self, units: Sequence[int], outputs: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = [keras.layers.Dense(width) for width in (*units, outputs)]
        self.dropout = [keras.layers.Dropout(dropout) for _ in units]

    def build(self, shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of the given shape."""
        _build_residual(self.dense, shape[-1])
        self.built = True

    def call(self, p: Tensor, training: bool = False) -> Tensor:
        """p [B, d_h] -> [B, outputs]."""
        z3 = leaky_relu(self.dense[0](self.dropout[0](p, training=training)))
        z4 = leaky_relu(self.dense[1](self.dropout[1](tf.concat([z3, p], axis=1), training=training)))
        return self.dense[2](tf.concat([z4, p], axis=1))


def _build_residual(layers: Sequence[Any], width: int | None) -> None:
    assert width is not None
    layers[0].build((None, width))
    for before, layer in pairwise(layers):
        layer.build((None, before.units + width))


def leaky_relu(x: Tensor) -> Tensor:
    """max(x, NEGATIVE_SLOPE · x)."""
    return tf.nn.leaky_relu(x, alpha=NEGATIVE_SLOPE)
