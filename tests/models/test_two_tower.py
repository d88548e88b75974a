"""Algorithm 1: which optimizer updates what."""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import tensorflow as tf

from mailcli.config import OPTIMIZERS, VARIANTS, RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.models.batch_spec import to_tensors
from mailcli.models.contracts import ColdStartMethod, RankingTower
from mailcli.models.factory import make_model
from mailcli.models.features import Features
from mailcli.models.losses import click_loss
from mailcli.models.rankers import dmr
from mailcli.models.step import make_optimizers, make_step
from mailcli.models.two_tower import TwoTower
from tests.helpers.models import changes, config_of, mail_config, values


def batch_of(dataset: Dataset, config: RunConfig) -> dict[str, Any]:
    batches = Batches(dataset, views(dataset, config)["train"], config.history, config.batch_size)
    return to_tensors(next(iter(batches.shuffled(config.seed, 1))))


@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_the_two_sets_cover_all_trainable_variables_once(tiny: Dataset, variant: str | None) -> None:
    model = make_model(tiny, mail_config(variant))
    a, b = {id(v) for v in model.zero_shot_variables}, {id(v) for v in model.ranking_variables}
    assert not a & b
    assert a | b == {id(v) for v in model.trainable_variables}
    assert bool(a) == (variant not in {None, "none"})


@pytest.mark.parametrize("variant", ["single", "dual", "base"])
def test_g_a_moves_the_zero_shot_tower_alone(tiny: Dataset, variant: str) -> None:
    config = mail_config(variant)
    model, optimizers = make_model(tiny, config), make_optimizers(config)
    zero_shot = {id(v) for v in model.cold_start.variables}
    remaining = [v for v in model.variables if id(v) not in zero_shot]
    before_a, before_b = values(model.zero_shot_variables), values(remaining)
    model._zero_shot_step(model.embedding(batch_of(tiny, config)), optimizers.zero_shot)
    assert all(changes(before_a, values(model.zero_shot_variables)))
    assert not any(changes(before_b, values(remaining))), "bit for bit"


@pytest.mark.parametrize("variant", ["single", "dual", "base"])
def test_g_b_moves_ranker_and_table_alone(tiny: Dataset, variant: str) -> None:
    config = mail_config(variant, zero_shot_learning_rate=1e-30)  # so that only G_B's step is left
    model, optimizers = make_model(tiny, config), make_optimizers(config)
    before_a, before_b = values(model.zero_shot_variables), values(model.ranking_variables)
    model.train_step(batch_of(tiny, config), optimizers)
    # In float32, adding 1e-30 changes no number but zero: any other change comes from G_B.
    for before, variable in zip(before_a, model.zero_shot_variables, strict=True):
        np.testing.assert_array_equal(before[before != 0], variable.numpy()[before != 0])
        np.testing.assert_allclose(before, variable.numpy(), atol=1e-28)
    assert all(changes(before_b, values(model.ranking_variables)))


def test_the_tower_is_trained_in_every_third_step_if_asked_to(tiny: Dataset) -> None:
    """G_A moves in the steps 1, 4 and 7 alone; v̂ is made in all."""
    config = mail_config("base", **{"cold_start.update_every": 3})
    model = make_model(tiny, config)
    step, batch = make_step(model, config), batch_of(tiny, config)
    moved, named = [], []
    for _ in range(7):
        before = values(model.zero_shot_variables)
        named.append("L_zst" in step(batch))
        moved.append(any(changes(before, values(model.zero_shot_variables))))
    assert moved == named == [True, False, False, True, False, False, True]
    with patch.object(type(model.cold_start), "update_every", 0), pytest.raises(ValueError, match="1 or more"):
        make_step(model, config)


def test_g_a_applies_the_click_gradient_if_asked_to(tiny: Dataset) -> None:
    """What makes v̂ is moved by a second update of G_A, by the click loss; G_B's part of the step is as without it."""
    moved, ranker = {}, {}
    for click_gradient in (False, True):
        config = mail_config("base", **{"cold_start.click_gradient": click_gradient})
        model, optimizers = make_model(tiny, config), make_optimizers(config)
        model.train_step(batch_of(tiny, config), optimizers)
        moved[click_gradient] = {v.path: v.numpy() for v in model.zero_shot_variables}
        ranker[click_gradient] = values(model.ranking_variables)
        assert int(optimizers.zero_shot.iterations) == 1 + click_gradient
        assert int(optimizers.ranking.iterations) == 1
    assert not any(changes(ranker[False], ranker[True]))
    changed = {path for path in moved[True] if not np.array_equal(moved[True][path], moved[False][path])}
    d2, e1, pool_a = (
        layer.trainable_variables for layer in (model.cold_start.d2, model.cold_start.e1, model.cold_start.pool_a)
    )
    assert changed == {v.path for v in (*d2, *e1, *pool_a)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("ranker", ["widedeep", pytest.param("dmr", marks=pytest.mark.slow)])
def test_the_first_step_has_the_size_of_the_rate_also_in_rows_that_a_batch_has_twice(
    ranker: str, optimizer: str, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """g / √g² = ±1 in Adam's first step, with g summed over the batch; √Σ g² below would give up to √64."""
    monkeypatch.setattr(dmr, "NEGATIVES", 20)
    settings = {"ranker": ranker, "optimizer": optimizer, "learning_rate": 0.01, "embedding_init": "xavier"}
    config = mail_config(None, **settings)
    model = make_model(tiny, config)
    variable = model.ranker.wide.weight if ranker == "widedeep" else model.ranker.u2i.item_vectors
    before = variable.numpy()
    make_step(model, config)(batch_of(tiny, config))
    moves = np.abs(variable.numpy() - before)
    # ε makes the steps of small gradients shorter.
    assert np.median(moves[moves > 0]) == pytest.approx(0.01, rel=0.01)
    assert moves.max() == pytest.approx(0.01, rel=0.001)


def test_variant_none_is_trained_by_g_b(tiny: Dataset) -> None:
    config = mail_config("none")
    model, optimizers = make_model(tiny, config), make_optimizers(config)
    before = values(model.cold_start.trainable_variables)
    losses = model.train_step(batch_of(tiny, config), optimizers)
    assert all(changes(before, values(model.cold_start.trainable_variables)))
    assert set(losses) == {"L_rt", "gradient"}


def test_embedding_l2_is_a_loss_of_g_b(tiny: Dataset) -> None:
    config = mail_config("base")
    batch = batch_of(tiny, config)
    plain = make_model(tiny, config).train_step(batch, make_optimizers(config))
    config = mail_config("base", embedding_l2=0.25)
    model = make_model(tiny, config)
    features = model.embedding(batch)
    lengths = [np.square(part.numpy()).sum() for part in (features.attributes, features.context, features.target)]
    losses = model.train_step(batch, make_optimizers(config))
    assert float(losses["L_l2"]) == pytest.approx(0.25 * sum(lengths) / len(batch["click"]), rel=1e-5)
    assert float(losses["L_rt"]) == float(plain["L_rt"])
    assert float(losses["gradient"]) != float(plain["gradient"])
    assert float(losses["gradient_zst"]) == float(plain["gradient_zst"])


def test_l_zst_is_the_sum_over_old_users_only(tiny: Dataset) -> None:
    config = mail_config("base", **{"cold_start.dropout": 0.0})
    model, batch = make_model(tiny, config), batch_of(tiny, config)
    features = model.embedding(batch)
    assert 0 < np.sum(features.is_new) < config.batch_size
    old = features.rows(tf.where(~features.is_new)[:, 0])
    expected = {name: float(value) for name, value in model.cold_start.zero_shot_losses(old).items()}
    losses = model.train_step(batch, make_optimizers(config))
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-5)
    assert float(losses["L_zst"]) == pytest.approx(sum(expected.values()), rel=1e-5)


def test_v_hat_is_generated_after_the_step_of_g_a(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithm 1, step 4: the ranking tower sees v̂ from the tower that G_A has just updated."""
    config = mail_config("base", **{"ranker.dropout": 0.0})
    model, optimizers = make_model(tiny, config), make_optimizers(config)
    tower_values = []
    complete = type(model.cold_start).complete

    def recorded_complete(self: Any, features: Any, training: bool = False) -> Any:
        tower_values.append(values(self.trainable_variables))
        return complete(self, features, training)

    monkeypatch.setattr(type(model.cold_start), "complete", recorded_complete)
    before = values(model.zero_shot_variables)
    model.train_step(batch_of(tiny, config), optimizers)
    assert len(tower_values) == 1
    assert any(changes(before, tower_values[0]))


def test_survives_batches_of_one_kind(tiny: Dataset) -> None:
    config = mail_config("base")
    model, batch = make_model(tiny, config), batch_of(tiny, config)
    is_new = model.embedding(batch).is_new.numpy()
    step = make_step(model, config)
    for kind in (~is_new, is_new):
        losses = step({name: tf.gather(tensor, np.flatnonzero(kind)) for name, tensor in batch.items()})
        assert all(np.isfinite(float(value)) for value in losses.values())
        assert all(np.isfinite(v.numpy()).all() for v in model.variables)


def test_overlapping_variables_are_refused(tiny: Dataset) -> None:
    class Greedy(type(make_model(tiny, mail_config()).cold_start)):  # type: ignore[misc]
        @property
        def trainable_variables(self) -> list[Any]:
            return []

    model = make_model(tiny, mail_config())
    with pytest.raises(RuntimeError, match="exactly one of the two optimizers"):
        TwoTower(model.embedding, model.ranker, Greedy(), history=10)


class Hooks(ColdStartMethod):
    """Takes the click loss away, and adds 1 to every logit."""

    def complete(self, features: Any, training: bool = False) -> Any:
        return features

    def logits(self, ranker: Any, features: Any, training: bool = False) -> Any:
        return ranker(features, training=training) + 1.0

    def ranking_losses(self, features: Any, click: Any, logit: Any) -> dict[str, Any]:
        return {"L_hook": -click_loss(click, logit)}


def test_a_method_may_change_logits_and_the_ranking_loss(tiny: Dataset) -> None:
    config = mail_config(None)
    plain, batch = make_model(tiny, config), batch_of(tiny, config)
    model = TwoTower(plain.embedding, plain.ranker, Hooks(), history=config.history)
    expected = np.asarray(plain(batch))
    np.testing.assert_array_equal(np.asarray(model(batch)), expected + 1)
    np.testing.assert_allclose(np.asarray(model.probabilities(batch))[:, 0], 1 / (1 + np.exp(-expected - 1)), rtol=1e-6)
    before = values(model.ranking_variables)
    losses = model.train_step(batch, make_optimizers(config))
    assert float(losses["L_hook"]) == -float(losses["L_rt"]) < 0
    # Nothing is left to learn from.
    assert float(losses["gradient"]) == 0
    assert not any(changes(before, values(model.ranking_variables)))


class TwoHeads(RankingTower):
    """pCTR 3/4 and pCVR 1/5 for everybody: σ(ln 3) and σ(-ln 4)."""

    def call(self, features: Features, training: bool = False) -> dict[str, Any]:
        nothing = 0.0 * tf.reduce_sum(features.query, axis=1)
        return {"click": nothing + math.log(3), "conversion": nothing - math.log(4)}


def test_a_conversion_is_a_click_and_what_follows_it(with_buys: Dataset) -> None:
    config = config_of("esmm", "none")
    made, batch = make_model(with_buys, config), batch_of(with_buys, config)
    model = TwoTower(made.embedding, TwoHeads(), made.cold_start, history=config.history)
    np.testing.assert_allclose(model.probabilities(batch), [[0.75, 0.15]] * 64, rtol=1e-6)
    labels = {"click": tf.constant([1.0] * 16 + [0.0] * 48), "conversion": tf.constant([1.0] * 4 + [0.0] * 60)}
    losses = model.train_step({**batch, **labels}, make_optimizers(config))
    # -ln .75 = .2876821 and -ln .25 = 1.3862944; -ln .15 = 1.8971200 and -ln .85 = .1625189.
    assert float(losses["L_rt"]) == pytest.approx((16 * 0.2876821 + 48 * 1.3862944) / 64, rel=1e-5)
    assert float(losses["L_ctcvr"]) == pytest.approx((4 * 1.8971200 + 60 * 0.1625189) / 64, rel=1e-5)
