"""The shapes and types of a batch, as tensors."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.data.batches import Batch
from mailcli.data.schema import UNKNOWN, Schema
from mailcli.models.features import Tensor


def to_tensors(batch: Batch) -> dict[str, Tensor]:
    """A NumPy batch as tensors."""
    return {name: tf.convert_to_tensor(array) for name, array in batch.items()}


def batch_signature(schema: Schema, history: int) -> dict[str, tf.TensorSpec]:
    """Shapes and types of a batch, for tf.function: one trace serves every batch size."""
    return {
        name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=name)
        for name, tensor in example_batch(schema, history).items()
    }


def example_batch(schema: Schema, history: int) -> dict[str, Tensor]:
    """A batch of one impression whose values are all unknown."""

    def ids(*shape: int) -> np.ndarray:
        return np.full((1, *shape), UNKNOWN, np.int32)

    return to_tensors(
        Batch(
            attributes=ids(sum(field.values for field in schema.group("attributes"))),
            behaviors=ids(history, len(schema.group("behavior"))),
            actions=ids(history),
            context=ids(len(schema.group("context"))),
            target=ids(sum(field.values for field in schema.group("target"))),
            dense=np.zeros((1, len(schema.dense)), np.float32),
            click=np.zeros(1, np.float32),
            conversion=np.zeros(1, np.float32),
            user=np.zeros(1, np.int32),
            prepared=np.full(1, np.nan, np.float32),
        )
    )
