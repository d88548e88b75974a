"""BaseDNN in plain Keras, with `Embedding`, `Adam` and `fit`: the baseline that `mail` is compared with."""

from __future__ import annotations

import time
from collections.abc import Iterator

import keras
import numpy as np
from alimama_shape import SMALL
from keras import layers, ops

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset

#: Columns of a batch, by the group in which they are summed.
ATTRIBUTES = ("user", *[name for name in SMALL if name not in ("pid", "hour", "weekday")])
CONTEXT = ("pid", "hour", "weekday")
TARGET = ("item", "cate", "brand", "campaign", "customer")


def make(dataset: Dataset, dim: int, history: int) -> keras.Model:
    """The compiled model."""
    tables = {name: layers.Embedding(size, dim, name=f"of_{name}") for name, size in dataset.vocabulary_sizes.items()}
    inputs = {
        "attributes": layers.Input((len(ATTRIBUTES),), dtype="int32"),
        "context": layers.Input((len(CONTEXT),), dtype="int32"),
        "target": layers.Input((len(TARGET),), dtype="int32"),
        "behaviors": layers.Input((history, 2), dtype="int32"),
        "actions": layers.Input((history,), dtype="int32"),
        "dense": layers.Input((1,)),
    }

    def summed(group: str, names: tuple[str, ...]) -> keras.KerasTensor:
        return layers.Add()([tables[name](inputs[group][:, column]) for column, name in enumerate(names)])

    steps = tables["cate"](inputs["behaviors"][:, :, 0]) + tables["brand"](inputs["behaviors"][:, :, 1])
    steps *= layers.Embedding(6, dim)(inputs["actions"])
    steps *= ops.cast(inputs["actions"] != 0, "float32")[:, :, None]
    groups = [
        summed("attributes", ATTRIBUTES),
        ops.sum(steps, axis=1),
        summed("context", CONTEXT),
        summed("target", TARGET),
    ]
    x = layers.Concatenate()([*groups, inputs["dense"]])
    for width in (512, 256):
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(layers.Dense(width)(layers.Dropout(0.5)(x))))
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


class _Times(keras.callbacks.Callback):
    """Records the end time of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        del batch, logs
        self.ends.append(time.perf_counter())


def seconds_per_step(batches: Batches, dim: int, steps: int) -> list[float]:
    """Seconds of each step of `fit` on the batches that `mail` trains on, without the first five."""
    model = make(batches.dataset, dim, batches.history)

    def pairs() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        for batch in batches.shuffled(0, 1):
            yield {name: batch[name] for name in model.input_names}, batch["click"]  # type: ignore[literal-required]

    model.input_names = ["attributes", "context", "target", "behaviors", "actions", "dense"]
    times = _Times()
    model.fit(pairs(), steps_per_epoch=steps + 5, epochs=1, verbose=0, callbacks=[times])
    return list(np.diff(times.ends)[4:])
