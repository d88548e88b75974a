"""Made-up features, for layers that are tested without a dataset."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.data.schema import Field, Schema
from mailcli.models.features import Features, Spec

N_A, N_V, DIM = 3, 4, 2
CLASSES, ACTIONS = 7, 4


def spec(n_a: int = N_A, n_v: int = N_V, dim: int = DIM, dense: tuple[str, ...] = ()) -> Spec:
    """Attributes user, x1, x2, ..., behavior of one field that the target has too, one field of context."""
    names = ["user", *(f"x{number}" for number in range(1, n_a))]
    fields = [Field(name, "attributes", name) for name in names]
    fields += [Field("cate", "behavior", "cate"), Field("hour", "context", "hour"), Field("cate", "target", "cate")]
    sizes = {**dict.fromkeys(names, 5), "cate": CLASSES, "hour": 4}
    return Spec(Schema(tuple(fields), ("pv",), dense), sizes, 5 * n_a + CLASSES + 4 + 3, n_v, dim)


def some_features(
    rows: int, new: list[int] | None = None, n_a: int = N_A, n_v: int = N_V, dim: int = DIM, seed: int = 0
) -> Features:
    """Random embeddings; histories of n_v, n_v - 1, ... 1, n_v, ... steps, none for new users."""
    rng = np.random.default_rng(seed)
    length = np.array([n_v - i % n_v for i in range(rows)])
    length[new or []] = 0
    mask = np.arange(n_v) >= n_v - length[:, None]
    real = mask[:, :, None]

    def normal(*shape: int) -> tf.Tensor:
        return tf.constant(rng.normal(size=shape), tf.float32)

    attributes, behaviors = normal(rows, n_a, dim), normal(rows, n_v, dim) * real
    return Features(
        attributes=attributes,
        behaviors=behaviors,
        behavior_mask=tf.constant(mask),
        behavior_sum=tf.constant(behaviors.numpy().sum(axis=1)),
        context=normal(rows, 1, dim),
        target=normal(rows, 1, dim),
        dense=tf.zeros([rows, 0]),
        is_new=tf.constant(~mask.any(axis=1)),
        query=normal(rows, dim),
        action_ids=tf.constant(rng.integers(1, ACTIONS, (rows, n_v)) * mask, tf.int32),
        action_table=normal(ACTIONS, dim) * (np.arange(ACTIONS)[:, None] > 0),
        step_ids=tf.constant(rng.integers(1, CLASSES, (rows, n_v)) * mask, tf.int32),
        target_id=tf.constant(rng.integers(1, CLASSES, rows), tf.int32),
        table_rows=tf.constant(rng.integers(0, 5 * n_a, (rows, n_a + 2)), tf.int32),
        user=tf.range(rows),
    )
