"""The shared embedding table: a batch of ids -> Features."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.data.schema import FIRST_ID, PADDING, Schema
from mailcli.models.features import Features, Spec, Tensor
from mailcli.models.sparse_ops import bag_sum, gather_rows, spread

#: Half-width of the `small` initialization of embeddings (ours: 0.1 and 0.03 of Xavier's did alike on ml-100k).
SMALL = 0.01


class FeatureEmbedding(keras.layers.Layer):
    """The shared embedding lookup table: all categorical fields of a batch -> Features (MAIL Sec. 3.1).

    One variable [sum of the vocabularies' sizes, d]; a field's ids are moved to its vocabulary's part of the table.
    Xavier initialization with fan_in = fan_out = d, U(±√(3/d)), so that the scale does not depend on the vocabulary; or
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
        # Whatever the precision of the products: a table cast to another type would be copied whole.
        super().__init__(dtype="float32", **kwargs)
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
        self.actions = FIRST_ID + len(schema.actions)
        self.rows = rows + self.actions

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
        """Embed a batch (the arrays of mailcli.data.batches.Batch, as tensors)."""
        mask = batch["actions"] != PADDING
        # No work is done for padding: [steps, 2], the impression and the place of each real step.
        at = tf.where(mask)
        rows = {group: batch[group] + self._starts(group) for group in ("attributes", "context", "target")}
        rows["behavior"] = tf.gather_nd(batch["behaviors"], at) + self._starts("behavior")
        embeddings, places = self._gather(rows)
        actions = tf.gather(embeddings, tf.range(self.actions)) * tf.constant([[0.0]] + [[1.0]] * (self.actions - 1))
        action = tf.gather_nd(batch["actions"], at)
        count = tf.shape(mask, tf.int64)[0]
        # A product with the actions, because the gradient of a gather from so few rows is slow.
        steps = tf.reduce_sum(gather_rows(embeddings, places["behavior"]), axis=1)
        steps *= tf.matmul(tf.one_hot(action, self.actions), actions)
        fields = self._means("target", gather_rows(embeddings, places["target"]), batch["target"])
        real_target = tf.where(batch["target"] != PADDING, rows["target"], 0)
        attributes, attribute_rows = gather_rows(embeddings, places["attributes"]), rows["attributes"]
        if any(field.values > 1 for field in self.schema.group("attributes")):
            attributes = tf.stack(self._means("attributes", attributes, batch["attributes"]), axis=1)
            attribute_rows = tf.where(batch["attributes"] != PADDING, attribute_rows, 0)
        return Features(
            attributes=attributes,
            behaviors=spread(steps, mask),
            behavior_mask=mask,
            behavior_sum=self._behavior_sum(embeddings, places["behavior"], at[:, 0], actions, action, count),
            context=gather_rows(embeddings, places["context"]),
            target=tf.stack(fields, axis=1),
            dense=batch["dense"],
            is_new=~tf.reduce_any(mask, axis=1),
            query=tf.add_n([fields[place] for place in self._shared]),
            action_ids=batch["actions"],
            action_table=actions,
            step_ids=batch["behaviors"][:, :, 0],
            target_id=batch["target"][:, self._column(self._shared[0])],
            table_rows=tf.concat([attribute_rows, rows["context"], real_target], axis=1),
            user=batch["user"],
        )

    def _starts(self, group: Any) -> Tensor:
        """Where the vocabulary of each of a group's columns begins in the table."""
        starts = [self.start[field.vocabulary] for field in self.schema.group(group) for _ in range(field.values)]
        return tf.constant(starts, tf.int32)

    def _gather(self, rows: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The embeddings of a batch's distinct rows, those of all actions first, and the place of each id among them.

        The table, whose rows are far apart in memory, is read once and has one gradient, without duplicates.
        """
        actions = tf.range(self.action_start, self.rows)
        flat = tf.concat([actions, *(tf.reshape(each, [-1]) for each in rows.values())], axis=0)
        distinct, places = tf.unique(flat, out_idx=tf.int64)
        sizes = [self.actions, *(tf.size(each) for each in rows.values())]
        parts = tf.split(places, sizes)[1:]
        shaped = {name: tf.reshape(part, tf.shape(rows[name])) for name, part in zip(rows, parts, strict=True)}
        return tf.gather(self.table.value, distinct), shaped

    def _behavior_sum(
        self, embeddings: Tensor, places: Tensor, impression: Tensor, actions: Tensor, action: Tensor, count: Tensor
    ) -> Tensor:
        """Σ_i (Σ_f e_if) ⊙ a_i as Σ_k a_k ⊙ (Σ of the e of the steps with action k), [B, d], without making any v_i."""
        # A bag for each action and impression; steps by action, then as they were, so that bags ascend.
        steps = tf.range(tf.size(action))
        order = tf.concat(tf.dynamic_partition(steps, action, self.actions), axis=0)
        bag = tf.cast(action, tf.int64) * count + impression
        bags = tf.repeat(tf.gather(bag, order), places.shape[1])
        ids = tf.reshape(tf.gather(places, order), [-1])
        summed = bag_sum(embeddings, bags, ids, self.actions * count)
        return tf.reduce_sum(tf.reshape(summed, [self.actions, count, self.dim]) * actions[:, None], axis=0)

    def spec(self, history: int) -> Spec:
        """What rankers and cold-start methods are built for."""
        return Spec(self.schema, self.vocabulary_sizes, self.rows, history, self.dim)

    @property
    def _shared(self) -> list[int]:
        """The places among the target's fields of what behaviors and targets have in common, in the steps' order."""
        of_target = [field.vocabulary for field in self.schema.group("target")]
        return [of_target.index(field.vocabulary) for field in self.schema.group("behavior")]

    def _column(self, place: int) -> int:
        """The first column of a target field's values."""
        return sum(field.values for field in self.schema.group("target")[:place])

    def _means(self, group: Any, values: Tensor, ids: Tensor) -> list[Tensor]:
        """One vector [B, d] for each field of a group: the mean of its real values."""
        sizes = [field.values for field in self.schema.group(group)]
        real = tf.cast(ids != PADDING, values.dtype)[:, :, None]
        # Split, because the gradient of a slice is slow.
        parts = zip(tf.split(values * real, sizes, axis=1), tf.split(real, sizes, axis=1), strict=True)
        return [tf.reduce_sum(values, axis=1) / tf.reduce_sum(real, axis=1) for values, real in parts]
