"""Batch normalization's moving statistics, computed anew from the training impressions before a model is scored.

Keras moves them by a hundredth per step, from 0 and 1: after a few hundred steps they are still far from the
activations that they stand for, and they mix those of many weights. "Precise batch normalization" (Wu and Johnson,
arXiv 2105.07576, Sec. 3) averages the statistics of one set of weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mailcli.data.batches import Batches
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.contracts import added_losses
from mailcli.models.features import Tensor
from mailcli.models.two_tower import TwoTower
from mailcli.utils.progress import progress

#: Impressions that the statistics are computed from (ours): all of a small dataset; of a large one, enough for a
#: standard error of .0025 standard deviations, at the cost of a few hundred forward passes.
IMPRESSIONS = 160_000
#: The epoch whose order of impressions is used: training begins with epoch 1.
_EPOCH = 0


class NormalizationStatistics:
    """The moving mean and variance of every batch normalization of a model.

    Each becomes the mean and variance of the layer's inputs over the training impressions, as training computes them:
    normalized by batch, with dropout. The result depends on nothing but the weights, the data, the seed and the states
    of random generators, which are put back.

    Args:
        model: the model; its ranker may hold Keras' own batch normalization.
        batches: of the training split.
        seed: of the run.
    """

    def __init__(self, model: TwoTower, batches: Batches, seed: int) -> None:
        self._model, self._batches, self._seed = model, batches, seed
        self._layers = [
            layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
        ]
        moving = {id(variable) for layer in self._layers for variable in (layer.moving_mean, layer.moving_variance)}
        self._others = [variable for variable in model.non_trainable_variables if id(variable) not in moving]
        self._forward = model.as_graph(distribute.run_on_replicas(self._forward_in_training))

    def update(self) -> None:
        """Compute them for the model's present weights; nothing happens without batch normalization."""
        if not self._layers:
            return
        others = [np.array(variable) for variable in self._others]
        sums = [_Moments(layer) for layer in self._layers]
        total, size = len(self._batches.view.rows), self._batches.batch_size
        steps = -(-min(total, IMPRESSIONS) // size)
        title = "normalization statistics"
        # The graph is built in the first pass.
        with _without_momentum(self._layers), progress(title, min(total, steps * size), "impressions") as advance:
            for step, batch in enumerate(islice(self._batches.shuffled(self._seed, _EPOCH), steps)):
                self._forward(to_tensors(batch))
                rows = min(size, total - step * size)
                for moments in sums:
                    moments.add_batch(rows)
                advance(rows)
        for moments in sums:
            moments.assign()
        for variable, value in zip(self._others, others, strict=True):
            variable.assign(value)

    def _forward_in_training(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One pass without an update of weights; every normalization stores its batch's moments.

        Calls `call` directly: it hides what the method hides in a training step, whereas Keras' `__call__` would also
        switch on dropout in the method's layers.
        """
        is_distributed = distribute.is_distributed()
        rows = distribute.exchange_row_counts(tf.shape(batch["click"])[0]) if is_distributed else nullcontext()
        with added_losses(), rows:
            self._model.call(batch, training=True)
        return {}


class _Moments:
    """The mean and variance of a layer's inputs over several batches."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._rows = layer, 0
        self._sum, self._squares = np.zeros(layer.moving_mean.shape), np.zeros(layer.moving_mean.shape)

    def add_batch(self, rows: int) -> None:
        """Add the moments that the layer stored for a batch of some rows."""
        mean = np.array(self._layer.moving_mean, np.float64)
        self._rows += rows
        self._sum += rows * mean
        self._squares += rows * (np.array(self._layer.moving_variance, np.float64) + mean**2)

    def assign(self) -> None:
        """Make them the layer's moving mean and variance."""
        mean = self._sum / self._rows
        self._layer.moving_mean.assign(mean)
        self._layer.moving_variance.assign(np.maximum(self._squares / self._rows - mean**2, 0))


@contextmanager
def _without_momentum(layers: list[Any]) -> Iterator[None]:
    """Inside the `with` block, graphs are built in which the moving statistics become those of the last batch."""
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
