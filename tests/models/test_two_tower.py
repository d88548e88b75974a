"""Algorithm 1: who moves what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from mailcli.config import VARIANTS, RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.step import make_optimizers, make_step
from mailcli.models.two_tower import TwoTower

SMALL = {
    "cold_start.encoder_units": "16,16,16",
    "cold_start.decoder_units": "16,16",
    "ranker.units": "16,8",
    "embedding_dim": 8,
    "history": 10,
    "batch_size": 64,
}


def config(variant: str | None = "base", **more: Any) -> RunConfig:
    if variant is None:
        settings = {key: value for key, value in SMALL.items() if not key.startswith("cold_start.")}
        return make_config([{"data": "tiny", **settings, **more}])
    return make_config([{"data": "tiny", "cold_start": "mail", "cold_start.variant": variant, **SMALL, **more}])


def batch_of(dataset: Dataset, c: RunConfig) -> dict[str, Any]:
    batches = Batches(dataset, views(dataset, c)["train"], c.history, c.batch_size)
    return to_tensors(next(iter(batches.shuffled(c.seed, 1))))


def values(variables: list[Any]) -> list[np.ndarray]:
    return [variable.numpy().copy() for variable in variables]


def moved(before: list[np.ndarray], variables: list[Any]) -> list[bool]:
    return [not np.array_equal(old, v.numpy()) for old, v in zip(before, variables, strict=True)]


@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_the_two_sets_cover_all_trainable_variables_once(tiny: Dataset, variant: str | None) -> None:
    model = make_model(tiny, config(variant))
    a, b = {id(v) for v in model.zero_shot_variables}, {id(v) for v in model.ranking_variables}
    assert not a & b
    assert a | b == {id(v) for v in model.trainable_variables}
    assert bool(a) == (variant not in {None, "none"})


@pytest.mark.parametrize("variant", ["single", "dual", "base"])
def test_g_a_moves_the_zero_shot_tower_alone(tiny: Dataset, variant: str) -> None:
    c = config(variant)
    model, optimizers = make_model(tiny, c), make_optimizers(c)
    others = [v for v in model.variables if id(v) not in {id(z) for z in model.cold_start.variables}]
    before_a, before_b = values(model.zero_shot_variables), values(others)
    model._zero_shot_step(model.embedding(batch_of(tiny, c)), optimizers.zero_shot)
    assert all(moved(before_a, model.zero_shot_variables))
    assert not any(moved(before_b, others)), "bit for bit"


@pytest.mark.parametrize("variant", ["single", "dual", "base"])
def test_g_b_moves_ranker_and_table_alone(tiny: Dataset, variant: str) -> None:
    c = config(variant, zero_shot_learning_rate=1e-30)  # so that what is left of a step is G_B's
    model, optimizers = make_model(tiny, c), make_optimizers(c)
    before_a, before_b = values(model.zero_shot_variables), values(model.ranking_variables)
    model.train_step(batch_of(tiny, c), optimizers)
    # A step of 1e-30 is lost in float32 beside any number but zero: what else moves, G_B moved.
    for before, variable in zip(before_a, model.zero_shot_variables, strict=True):
        np.testing.assert_array_equal(before[before != 0], variable.numpy()[before != 0])
        np.testing.assert_allclose(before, variable.numpy(), atol=1e-28)
    assert all(moved(before_b, model.ranking_variables))


def test_variant_none_is_trained_by_g_b(tiny: Dataset) -> None:
    c = config("none")
    model, optimizers = make_model(tiny, c), make_optimizers(c)
    before = values(model.cold_start.trainable_variables)
    losses = model.train_step(batch_of(tiny, c), optimizers)
    assert all(moved(before, model.cold_start.trainable_variables))
    assert set(losses) == {"L_rt", "gradient"}


def test_l_zst_is_the_sum_over_old_users_only(tiny: Dataset) -> None:
    c = config("base", **{"cold_start.dropout": 0.0})
    model, batch = make_model(tiny, c), batch_of(tiny, c)
    features = model.embedding(batch)
    assert 0 < np.sum(features.is_new) < c.batch_size
    old = features.rows(tf.where(~features.is_new)[:, 0])
    expected = {name: float(value) for name, value in model.cold_start.zero_shot_losses(old).items()}
    found = model.train_step(batch, make_optimizers(c))
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-5)
    assert float(found["L_zst"]) == pytest.approx(sum(expected.values()), rel=1e-5)


def test_v_hat_is_generated_after_the_step_of_g_a(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithm 1, step 4: the ranking tower sees v̂ of the tower that G_A has just moved."""
    c = config("base", **{"ranker.dropout": 0.0})
    model, optimizers = make_model(tiny, c), make_optimizers(c)
    seen = []
    complete = type(model.cold_start).complete

    def watched(self: Any, features: Any, training: bool = False) -> Any:
        seen.append(values(self.trainable_variables))
        return complete(self, features, training)

    monkeypatch.setattr(type(model.cold_start), "complete", watched)
    before = values(model.zero_shot_variables)
    model.train_step(batch_of(tiny, c), optimizers)
    assert len(seen) == 1
    assert any(not np.array_equal(old, now) for old, now in zip(before, seen[0], strict=True))


@pytest.mark.parametrize("keep", ["old", "new"])
def test_survives_batches_of_one_kind(tiny: Dataset, keep: str) -> None:
    c = config("base")
    model, batch = make_model(tiny, c), batch_of(tiny, c)
    is_new = model.embedding(batch).is_new.numpy()
    rows = np.flatnonzero(is_new if keep == "new" else ~is_new)
    step = make_step(model, c)
    losses = step({name: tf.gather(tensor, rows) for name, tensor in batch.items()})
    assert all(np.isfinite(float(value)) for value in losses.values())
    assert all(np.isfinite(v.numpy()).all() for v in model.variables)


def test_overlapping_variables_are_refused(tiny: Dataset) -> None:
    class Greedy(type(make_model(tiny, config()).cold_start)):  # type: ignore[misc]
        @property
        def trainable_variables(self) -> list[Any]:
            return []

    model = make_model(tiny, config())
    with pytest.raises(RuntimeError, match="exactly one of the two optimizers"):
        TwoTower(model.embedding, model.ranker, Greedy(), history=10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"ranker.unit": "8"},
            "ranker 'base' has no option 'unit'. Did you mean 'units'? Known: 'units', 'dropout'.",
        ),
        ({"ranker.units": "8,x"}, "ranker 'base': `units` should be like (512, 256). Received: '8,x'"),
        (
            {"cold_start.sigma": "wide"},
            "cold-start method 'mail': `sigma` should be like 1.0. Received: 'wide'",
        ),
        (
            {"cold_start.reduction": "max"},
            "cold-start method 'mail': `reduction` should be one of ('mean', 'sum'). Received: reduction='max'",
        ),
    ],
)
def test_wrong_options_are_named(tiny: Dataset, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MailError) as error:
        make_model(tiny, config(**settings))
    assert error.value.message == message


def test_same_seed_same_weights(tiny: Dataset) -> None:
    one, two, other = (make_model(tiny, config(seed=s)) for s in (3, 3, 4))
    assert not any(moved(values(one.variables), two.variables))
    assert moved(values(one.embedding.variables), other.embedding.variables) == [True]


def test_split_names() -> None:
    assert SPLITS == ("train", "validation", "test")


@pytest.mark.slow
def test_a_second_model_leaves_nothing_behind(tiny: Dataset) -> None:
    """TensorFlow keeps custom gradients for ever, with all that they refer to, a model's graph among it."""

    def kept() -> int:
        return sum(name.startswith("CustomGradient") for name in ops.gradient_registry.list())

    def trace() -> None:
        c = config("base", ranker="dmr")
        make_step(make_model(tiny, c), c).trace()

    trace()
    once = kept()
    assert once > 0
    for _ in range(2):
        trace()
        assert kept() == once
