"""Batch normalization's moving statistics against the mean and variance of all inputs of each layer."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.experiments.cells import train_if_missing
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.step import make_step
from mailcli.models.two_tower import TwoTower
from mailcli.training import normalization
from mailcli.training.normalization import NormalizationStatistics
from tests.helpers.models import RANKERS, config_of, values

NORMALIZED = [ranker for ranker in RANKERS if ranker != "emblr"]


class UserRanker(keras.layers.Layer):
    """A ranker of a user's own, with Keras' batch normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = keras.layers.BatchNormalization()
        self.logit = keras.layers.Dense(1)

    def call(self, features: Any, training: bool = False) -> Any:
        return self.logit(self.norm(tf.reduce_sum(features.target, axis=1), training=training))[:, 0]


def layers_of(model: TwoTower) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def inputs_in_training(model: TwoTower, batches: Batches, seed: int) -> dict[int, np.ndarray]:
    """All inputs of each normalization, [impressions, n] by the layer's id, in passes like those of training."""
    inputs: dict[int, list[np.ndarray]] = defaultdict(list)

    def watched(layer: Any) -> Any:
        def call(x: Any, training: bool = False, mask: Any = None) -> Any:
            assert training
            assert mask is None
            inputs[id(layer)].append(np.asarray(x, np.float64))
            return type(layer).call(layer, x, training=training)

        return call

    for layer in layers_of(model):
        layer.call = watched(layer)
    before = [variable.numpy() for variable in model.non_trainable_variables]
    for batch in batches.shuffled(seed, 0):
        model(to_tensors(batch), training=True)
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        variable.assign(value)
    for layer in layers_of(model):
        del layer.call
    return {key: np.concatenate(parts) for key, parts in inputs.items()}


def trained(config: RunConfig, dataset: Dataset, steps: int = 12) -> tuple[TwoTower, Batches]:
    """A model after some steps, and its training batches."""
    model = make_model(dataset, config)
    step = make_step(model, config)
    batches = Batches(dataset, views(dataset, config)["train"], config.history, config.batch_size)
    for number, batch in enumerate(batches.shuffled(config.seed, 1)):
        if number == steps:
            break
        step(to_tensors(batch))
    return model, batches


@pytest.mark.parametrize(
    "ranker",
    [
        *(pytest.param(name, marks=[] if name == "base" else pytest.mark.slow) for name in NORMALIZED),
        "tests.training.test_normalization:UserRanker",
    ],
)
def test_they_are_those_of_the_training_impressions(ranker: str, with_buys: Dataset) -> None:
    # Few batches: those of `inputs_in_training` are computed without a graph.
    config = make_config([vars(config_of(ranker, "none")), {"batch_size": 512}])
    model, batches = trained(config, with_buys)
    inputs = inputs_in_training(model, batches, config.seed)
    assert len(inputs) == len(layers_of(model)) > 0
    statistics = NormalizationStatistics(model, batches, config.seed)
    weights, others = (values(variables) for variables in (model.trainable_variables, model.non_trainable_variables))
    before = values([layer.moving_variance for layer in layers_of(model)])
    statistics.update()
    for layer in layers_of(model):
        x = inputs[id(layer)]
        np.testing.assert_allclose(layer.moving_mean, x.mean(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(layer.moving_variance, x.var(axis=0), rtol=1e-3, atol=1e-6)
    # Twelve steps of momentum .99 are nowhere near: the test can fail.
    after = values([layer.moving_variance for layer in layers_of(model)])
    assert max(float(np.abs(new / old - 1).max()) for old, new in zip(before, after, strict=True)) > 0.1
    # Nothing else has moved, the states of random generators included.
    moving = {id(variable) for layer in layers_of(model) for variable in (layer.moving_mean, layer.moving_variance)}
    for variable, value in zip(model.non_trainable_variables, others, strict=True):
        assert id(variable) in moving or np.array_equal(variable, value)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_the_same_weights_give_the_same_statistics(tiny: Dataset) -> None:
    config = make_config([{"data": "tiny", "batch_size": 64, "history": 10, "ranker.units": "16,8"}])
    model, batches = trained(config, tiny)
    statistics = NormalizationStatistics(model, batches, config.seed)
    statistics.update()
    once = values(model.variables)
    statistics.update()
    for variable, value in zip(model.variables, once, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_of_many_impressions_a_part_is_enough(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config([{"data": "tiny", "batch_size": 64, "history": 10, "ranker.units": "16,8"}])
    model, batches = trained(config, tiny)
    monkeypatch.setattr(normalization, "IMPRESSIONS", 130)
    gathered = []
    gather = batches.gather

    def counted(rows: NDArray[np.int64]) -> Batch:
        gathered.append(len(rows))
        return gather(rows)

    monkeypatch.setattr(batches, "gather", counted)
    NormalizationStatistics(model, batches, config.seed).update()
    # Three batches of 64; the prefetching thread may have begun on more.
    assert gathered[:3] == [64, 64, 64]
    assert len(gathered) < len(batches)


def test_a_run_scores_with_them(tiny: Dataset, tmp_path: Path) -> None:
    small = {"data": "tiny", "epochs": 1, "batch_size": 256, "history": 10, "ranker.units": "16,8"}
    # Without dropout, whose masks would be others than those of the run.
    config = make_config([small, {"ranker.dropout": "0"}])
    run = train_if_missing(config, tiny, tmp_path)
    model = make_model(tiny, config)
    run.restore(model)
    batches = Batches(tiny, views(tiny, config)["train"], config.history, config.batch_size)
    moving = [(layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in layers_of(model)]
    NormalizationStatistics(model, batches, config.seed).update()
    for layer, (mean, variance) in zip(layers_of(model), moving, strict=True):
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4, atol=1e-6)


def test_a_method_hides_impressions_once_in_a_pass(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(tiny, config_of("base", "masked"))
    hide, passes = model.cold_start.mask_batch, []

    def hide_and_count(batch: dict[str, Any]) -> Any:
        passes.append(batch)
        return hide(batch)

    monkeypatch.setattr(model.cold_start, "mask_batch", hide_and_count)
    batches = Batches(tiny, views(tiny, make_config([{"data": "tiny"}]))["train"], 10, 64)
    NormalizationStatistics(model, batches, 0).update()
    # Once in the graph of a pass.
    assert len(passes) == 1
