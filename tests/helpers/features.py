"""Random features, for layers that are tested without a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.data.schema import Field, Schema
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Features, Spec

N_A, N_V, DIM = 3, 4, 2
CLASSES, ACTIONS = 7, 4


def spec(n_a: int = N_A, n_v: int = N_V, dim: int = DIM, dense: tuple[str, ...] = ()) -> Spec:
    """Attributes user, x1, x2, ...; one behavior field that the target has as well; one context field."""
    names = ["user", *(f"x{number}" for number in range(1, n_a))]
    fields = [Field(name, "attributes", name) for name in names]
    fields += [Field("cate", "behavior", "cate"), Field("hour", "context", "hour"), Field("cate", "target", "cate")]
    sizes = {**dict.fromkeys(names, 5), "cate": CLASSES, "hour": 4}
    return Spec(Schema(tuple(fields), ("pv",), dense), sizes, 5 * n_a + CLASSES + 4 + 3, n_v, dim)


def some_features(
    rows: int, new: list[int] | None = None, n_a: int = N_A, n_v: int = N_V, dim: int = DIM, seed: int = 0
) -> Features:
    """Random embeddings; histories of n_v, n_v - 1, ... 1, n_v, ... steps, and empty ones for new users."""
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
        prepared=tf.fill([rows], np.float32(np.nan)),
    )


def rows_of(features: Features, indices: Any) -> Features:
    """The impressions at some indices."""
    return features.rows(tf.constant(np.asarray(indices), tf.int32))


def training_data(features: Features, clicks: Any, users: Any, batch: int = 4, ranker: Any = None) -> TrainingData:
    """Impressions as a two-stage method gets them, in batches."""
    count = len(users)
    return TrainingData(
        features=lambda: (
            rows_of(features, range(start, min(start + batch, count))) for start in range(0, count, batch)
        ),
        gather=lambda indices: rows_of(features, indices),
        clicks=np.asarray(clicks, np.float32),
        users=np.asarray(users),
        old=~features.is_new.numpy(),
        ranker=ranker,
        seed=0,
    )


def as_arrays(features: Features) -> dict[str, np.ndarray]:
    """The features as float64 arrays by name."""
    return {name: tensor.numpy().astype(np.float64) for name, tensor in features._asdict().items()}


def layer_weights(layer: Any) -> list[np.ndarray]:
    """The weights of a layer as float64 arrays."""
    return [np.asarray(weight, np.float64) for weight in layer.get_weights()]


def mean_steps(features: Features) -> np.ndarray:
    """[B, d], the mean of the real steps, zeros for an empty history: history by history."""
    v, mask = features.behaviors.numpy().astype(np.float64), features.behavior_mask.numpy()
    return np.array(
        [steps[real].mean(axis=0) if real.any() else np.zeros(DIM) for steps, real in zip(v, mask, strict=True)]
    )


def signatures(features: Features) -> np.ndarray:
    """[B, (n_a - 1) d], all attributes but the first, which is the user id."""
    return features.attributes.numpy().astype(np.float64)[:, 1:].reshape(len(features.attributes), -1)


def no_teacher(count: int) -> Any:
    """Stands in for `TrainingRows.teach` where no teacher may be trained."""
    pytest.fail(f"{count} teachers were asked for")
