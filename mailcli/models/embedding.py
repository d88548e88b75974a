"""The shared embedding table: a batch of ids -> Features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID, PADDING, Schema
from mailcli.models.features import Features, Spec, Tensor, first_rows
from mailcli.models.sparse_ops import bag_sum, gather_rows, scatter_masked
from mailcli.models.table.initializer import initial_rows
from mailcli.models.table.memory import TableMemory
from mailcli.models.table.rows import parts, read_parts, write_parts

#: Half-width of `small` (ours: 0.1 and 0.03 of Xavier's width did equally well on ml-100k).
SMALL_LIMIT = 0.01
#: Standard deviation of `normal` (published code).
NORMAL_DEVIATION = 0.01
#: Where Keras keeps the table in a weights file of a TwoTower.
TABLE_IN_FILE = "embedding/vars/0"

Outstanding = Callable[[Any, Tensor], Tensor]
"""A table and some of its rows [U] -> what is to be added to them [U, d]."""


class TableLayout(NamedTuple):
    """Which rows of a table belong to which vocabulary."""

    rows: int
    vocabulary_sizes: dict[str, int]
    first_row: dict[str, int]
    """Of each vocabulary."""
    first_action_row: int
    actions: int


class FeatureEmbedding(keras.layers.Layer):
    """The shared embedding lookup table: all categorical fields of a batch -> Features (MAIL Sec. 3.1).

    One variable [sum of the vocabulary sizes, d]; the ids of a field are offset to its vocabulary's part of the table.
    Its initialization is one of

    - normal: N(0, 0.01²), as in the published code;
    - xavier: U(±√(3/d)), fan_in = fan_out = d, so that the scale does not depend on the vocabulary;
    - small: U(±0.01) with all actions one, so that v_i starts as the embedding of its item;
    - behaviors: as small; training then begins with vectors from the histories (training/behavior_vectors.py);
    - glorot: U(±√(6/(n + d))) for a vocabulary of n ids, as TensorFlow's default for a table [n, d].

    Args:
        schema: the fields and their groups.
        vocabulary_sizes: ids per vocabulary, including padding and unknown.
        dim: d.
        init: "normal", "xavier" (MAIL Algorithm 1), "small" (ours), "behaviors" (ours) or "glorot".
        l2: weight of the embeddings' squared lengths in the ranking loss.
        memory: how much memory the table may take; a larger table becomes a MappedTable. None for no limit.
    """

    def __init__(
        self,
        schema: Schema,
        vocabulary_sizes: dict[str, int],
        dim: int,
        init: str = "normal",
        l2: float = 0.0,
        memory: TableMemory | None = None,
        **kwargs: Any,
    ) -> None:
        # float32 whatever the precision: a table cast to another type would be copied whole.
        super().__init__(dtype="float32", **kwargs)
        self.schema = schema
        self.dim = dim
        self.init = init
        self.l2 = l2
        self.vocabulary_sizes = vocabulary_sizes
        self.first_row = first_rows(schema, vocabulary_sizes)
        self.first_action_row = sum(vocabulary_sizes[name] for name in self.first_row)
        self.actions = FIRST_ID + len(schema.actions)
        self.rows = self.first_action_row + self.actions
        self.mapped = memory.map_table(self.rows, dim) if memory else None

    def build(self, *_: Any) -> None:
        """Make the table."""
        initializer = self._initializer()
        if self.mapped:
            self.table = self.add_weight(shape=(self.mapped.capacity, self.dim), initializer="zeros", name="table")
            whole = self.mapped.add(self.table)
            for rows in parts(whole.shape, 4):
                drawn = initial_rows(initializer, self.dim, rows[0], len(rows))
                whole.write(rows, self._adjusted(drawn, rows).numpy())
        else:
            self.table = self.add_weight(shape=(self.rows, self.dim), initializer=initializer, name="table")
            if self.init in {"small", "behaviors", "glorot"}:
                self.table.assign(self._adjusted(self.table.value, np.arange(self.rows)))
        self.built = True

    @property
    def layout(self) -> TableLayout:
        """Which rows belong to which vocabulary."""
        return TableLayout(self.rows, self.vocabulary_sizes, self.first_row, self.first_action_row, self.actions)

    @property
    def whole_table(self) -> Any:
        """The table with all its rows, a Keras variable or a MappedVariable."""
        return self.mapped.variables[0] if self.mapped else self.table

    def _initializer(self) -> Any:
        if self.init == "normal":
            return keras.initializers.RandomNormal(stddev=NORMAL_DEVIATION)
        limits = {"xavier": (3 / self.dim) ** 0.5, "small": SMALL_LIMIT, "behaviors": SMALL_LIMIT, "glorot": 1.0}
        limit = limits[self.init]
        return keras.initializers.RandomUniform(-limit, limit)

    def _adjusted(self, drawn: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """The initial values [U, d] of rows [U], from what was drawn for them."""
        if self.init in {"small", "behaviors"}:
            return tf.where(rows[:, None] >= self.first_action_row, 1.0, drawn)
        if self.init == "glorot":
            sizes = [*(self.vocabulary_sizes[name] for name in self.first_row), self.actions]
            limits = np.array([(6 / (size + self.dim)) ** 0.5 for size in sizes], np.float32)
            vocabulary = np.searchsorted(np.cumsum(sizes), rows, side="right")
            return drawn * limits[vocabulary][:, None]
        return drawn

    def save_own_variables(self, store: Any) -> None:
        """Write the table into Keras' weights file, some rows at a time."""
        dataset = store.h5_file.create_dataset(TABLE_IN_FILE, tuple(self.whole_table.shape), np.float32)
        start = 0
        for part in read_parts(self.whole_table):
            dataset[start : start + len(part)] = part
            start += len(part)

    def load_own_variables(self, store: Any) -> None:
        """Read the table from Keras' weights file, some rows at a time (ValueError if it has another shape)."""
        dataset = store.h5_file[TABLE_IN_FILE]
        shape = tuple(self.whole_table.shape)
        if dataset.shape != shape:
            raise ValueError(f"the embedding table has the shape {dataset.shape}, expected {shape}")
        write_parts(self.whole_table, (dataset[rows[0] : rows[-1] + 1] for rows in parts(shape, 4)))

    def call(self, batch: dict[str, Tensor], outstanding: Outstanding | None = None) -> Features:
        """Embed a batch (the arrays of mailcli.data.batches.Batch, as tensors).

        Args:
            batch: the batch.
            outstanding: what the optimizer has yet to add to rows of the table; see SparseAdam.
        """
        mask = batch["actions"] != PADDING
        # [steps, 2], impression and position of each real step: nothing is computed for padding.
        real = tf.where(mask)
        rows = {group: batch[group] + self._first_rows(group) for group in ("attributes", "context", "target")}
        rows["behavior"] = tf.gather_nd(batch["behaviors"], real) + self._first_rows("behavior")
        embeddings, indices = self._gather(rows, outstanding)
        actions = tf.gather(embeddings, tf.range(self.actions)) * tf.constant([[0.0]] + [[1.0]] * (self.actions - 1))
        action = tf.gather_nd(batch["actions"], real)
        count = tf.shape(mask, tf.int64)[0]
        # A matrix product with the actions, because the gradient of a gather from so few rows is slow.
        steps = tf.reduce_sum(gather_rows(embeddings, indices["behavior"]), axis=1)
        steps *= tf.matmul(tf.one_hot(action, self.actions), actions)
        fields = self._means("target", gather_rows(embeddings, indices["target"]), batch["target"])
        real_target = tf.where(batch["target"] != PADDING, rows["target"], 0)
        attributes, attribute_rows = gather_rows(embeddings, indices["attributes"]), rows["attributes"]
        if any(field.values > 1 for field in self.schema.group("attributes")):
            attributes = tf.stack(self._means("attributes", attributes, batch["attributes"]), axis=1)
            attribute_rows = tf.where(batch["attributes"] != PADDING, attribute_rows, 0)
        return Features(
            attributes=attributes,
            behaviors=scatter_masked(steps, mask),
            behavior_mask=mask,
            behavior_sum=self._behavior_sum(embeddings, indices["behavior"], real[:, 0], actions, action, count),
            context=gather_rows(embeddings, indices["context"]),
            target=tf.stack(fields, axis=1),
            dense=batch["dense"],
            is_new=~tf.reduce_any(mask, axis=1),
            query=tf.add_n([fields[index] for index in self._shared_fields]),
            action_ids=batch["actions"],
            # Row 0 is padding, and row 1 an unknown action.
            action_table=tf.concat([actions, tf.reduce_mean(actions[FIRST_ID:], axis=0, keepdims=True)], axis=0),
            step_ids=batch["behaviors"][:, :, 0],
            target_id=batch["target"][:, self._first_column(self._shared_fields[0])],
            table_rows=tf.concat([attribute_rows, rows["context"], real_target], axis=1),
            user=batch["user"],
            prepared=batch["prepared"],
        )

    def _first_rows(self, group: Any) -> Tensor:
        """The first table row of the vocabulary of each column of a group."""
        rows = [self.first_row[field.vocabulary] for field in self.schema.group(group) for _ in range(field.values)]
        return tf.constant(rows, tf.int32)

    def _gather(self, rows: dict[str, Tensor], outstanding: Outstanding | None) -> tuple[Tensor, dict[str, Tensor]]:
        """The embeddings of a batch's distinct rows, all actions first, and the index of each id among them.

        The table, whose rows lie far apart in memory, is read once and gets one gradient, without duplicates.
        """
        actions = tf.range(self.first_action_row, self.rows)
        flat = tf.concat([actions, *(tf.reshape(ids, [-1]) for ids in rows.values())], axis=0)
        distinct, indices = tf.unique(flat, out_idx=tf.int64)
        sizes = [self.actions, *(tf.size(ids) for ids in rows.values())]
        parts = tf.split(indices, sizes)[1:]
        by_group = {name: tf.reshape(part, tf.shape(rows[name])) for name, part in zip(rows, parts, strict=True)}
        if outstanding is None:
            table = self.whole_table
            embeddings = table.gather(distinct) if self.mapped else tf.gather(table.value, distinct)
        else:
            if self.mapped:
                distinct = self.mapped.slots(distinct)
            embeddings = tf.gather(self.table.value, distinct)
            embeddings += tf.stop_gradient(outstanding(self.table, distinct))
        return embeddings, by_group

    def _behavior_sum(
        self, embeddings: Tensor, indices: Tensor, impression: Tensor, actions: Tensor, action: Tensor, count: Tensor
    ) -> Tensor:
        """Σ_i (Σ_f e_if) ⊙ a_i as Σ_k a_k ⊙ (Σ of the e of the steps with action k), [B, d], without any v_i."""
        # One bag per action and impression; steps are sorted by action, so that bags ascend.
        steps = tf.range(tf.size(action))
        order = tf.concat(tf.dynamic_partition(steps, action, self.actions), axis=0)
        bag = tf.cast(action, tf.int64) * count + impression
        bags = tf.repeat(tf.gather(bag, order), indices.shape[1])
        ids = tf.reshape(tf.gather(indices, order), [-1])
        summed = bag_sum(embeddings, bags, ids, self.actions * count)
        return tf.reduce_sum(tf.reshape(summed, [self.actions, count, self.dim]) * actions[:, None], axis=0)

    def spec(self, history: int) -> Spec:
        """What rankers and cold-start methods are built for."""
        return Spec(self.schema, self.vocabulary_sizes, self.rows, history, self.dim)

    @property
    def _shared_fields(self) -> list[int]:
        """The indices of the target fields that behavior steps have as well, in the order of a step's fields."""
        vocabularies = [field.vocabulary for field in self.schema.group("target")]
        return [vocabularies.index(field.vocabulary) for field in self.schema.group("behavior")]

    def _first_column(self, field_index: int) -> int:
        """The first column of a target field's values."""
        return sum(field.values for field in self.schema.group("target")[:field_index])

    def _means(self, group: Any, values: Tensor, ids: Tensor) -> list[Tensor]:
        """One vector [B, d] per field of a group: the mean of its real values."""
        sizes = [field.values for field in self.schema.group(group)]
        real = tf.cast(ids != PADDING, values.dtype)[:, :, None]
        # tf.split, because the gradient of slices is slow.
        parts = zip(tf.split(values * real, sizes, axis=1), tf.split(real, sizes, axis=1), strict=True)
        return [tf.reduce_sum(values, axis=1) / tf.reduce_sum(real, axis=1) for values, real in parts]
