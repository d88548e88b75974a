"""One contract for every ranker and every cold-start method; a new file is tested as soon as it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli import plugins
from mailcli.batches import Batch, Batches
from mailcli.config import RunConfig, make_config
from mailcli.contracts import ColdStartMethod, RankingTower
from mailcli.evaluation import Scorer
from mailcli.model import TwoTower, make_model, to_tensors
from mailcli.protocol import View, views
from mailcli.schema import UNKNOWN
from mailcli.store import Store
from mailcli.training import make_step

RANKERS = plugins.names(plugins.RANKERS)
COLD_STARTS = plugins.names(plugins.COLD_STARTS)
CELLS = [(ranker, method) for ranker in RANKERS for method in COLD_STARTS]
#: Options that make a plugin quick to test; one that is not here is tested as it is.
QUICK = {
    "base": {"ranker.units": "16,8"},
    "mail": {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"},
}


def config_of(ranker: str, cold_start: str) -> RunConfig:
    shape = {"data": "tiny", "embedding_dim": 8, "history": 10, "batch_size": 64}
    cell = {"ranker": ranker, "cold_start": cold_start}
    return make_config([shape, cell, QUICK.get(ranker, {}), QUICK.get(cold_start, {})])


def unknown_everything(batch: Batch) -> Batch:
    """Ids that no vocabulary has, and no history."""
    blank: Any = {name: np.full_like(batch[name], UNKNOWN) for name in ("attributes", "context", "target")}  # type: ignore[literal-required]
    empty: Any = {name: np.zeros_like(batch[name]) for name in ("behaviors", "actions")}  # type: ignore[literal-required]
    return {**batch, **blank, **empty}


@pytest.mark.parametrize(("ranker", "cold_start"), CELLS)
class TestCell:
    """Every cell of the ranker x cold-start matrix."""

    @pytest.fixture
    def config(self, ranker: str, cold_start: str) -> RunConfig:
        return config_of(ranker, cold_start)

    @pytest.fixture
    def model(self, tiny: Store, config: RunConfig) -> TwoTower:
        return make_model(tiny, config)

    @pytest.fixture
    def view(self, tiny: Store, config: RunConfig) -> View:
        view = views(tiny, config)["train"]
        return view._replace(rows=view.rows[:320])

    @pytest.fixture
    def batch(self, tiny: Store, config: RunConfig, view: View) -> Batch:
        return Batches(tiny, view, config.history, 64).gather(view.rows[::5])

    def test_gives_a_finite_logit_per_impression(self, model: TwoTower, batch: Batch) -> None:
        logit = model(to_tensors(batch)).numpy()
        assert logit.shape == (64,)
        assert np.isfinite(logit).all()

    def test_twenty_steps_then_weights_round_trip(
        self, tiny: Store, config: RunConfig, model: TwoTower, view: View, tmp_path: Path
    ) -> None:
        step, batches = make_step(model, config), Batches(tiny, view, config.history, 64)
        for epoch in range(4):
            for batch in batches.shuffled(0, epoch):
                losses = step(to_tensors(batch))
        assert all(np.isfinite(float(value)) for value in losses.values())
        scores = Scorer(model, config.history)(batches, "")
        model.save_weights(tmp_path / "m.weights.h5")
        other = make_model(tiny, make_config([vars(config), {"seed": 9}]))
        assert not np.array_equal(Scorer(other, config.history)(batches, ""), scores)
        other.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_array_equal(Scorer(other, config.history)(batches, ""), scores)

    def test_scores_do_not_depend_on_the_batch_size(
        self, tiny: Store, config: RunConfig, model: TwoTower, view: View
    ) -> None:
        by_7, by_64 = (Scorer(model, config.history)(Batches(tiny, view, config.history, size), "") for size in (7, 64))
        np.testing.assert_allclose(by_7, by_64, atol=1e-6)

    def test_survives_unknown_ids_and_empty_histories(self, config: RunConfig, model: TwoTower, batch: Batch) -> None:
        nobody = unknown_everything(batch)
        assert np.isfinite(model(to_tensors(nobody)).numpy()).all()
        losses = make_step(model, config)(to_tensors(nobody))
        assert all(np.isfinite(float(value)) for value in losses.values())

    @pytest.mark.parametrize("kind", ["new", "old"])
    def test_survives_batches_of_one_kind_and_of_one_impression(
        self, config: RunConfig, model: TwoTower, batch: Batch, kind: str
    ) -> None:
        tensors = to_tensors(batch)
        is_new = model.embedding(tensors).is_new.numpy()
        rows = np.flatnonzero(is_new == (kind == "new"))
        step = make_step(model, config)
        for chosen in (rows, rows[:1]):
            losses = step({name: tf.gather(tensor, chosen) for name, tensor in tensors.items()})
            assert all(np.isfinite(float(value)) for value in losses.values())

    def test_an_old_user_scores_the_same_beside_new_ones(self, model: TwoTower, batch: Batch) -> None:
        tensors = to_tensors(batch)
        old = np.flatnonzero(~model.embedding(tensors).is_new.numpy())
        alone = model({name: tf.gather(tensor, old) for name, tensor in tensors.items()})
        np.testing.assert_allclose(alone, model(tensors).numpy()[old], atol=1e-5)


class _PluginContract:
    kind: plugins.Kind
    base: Any

    def plugin(self, name: str) -> Any:
        return plugins.load(self.kind, name)

    def check(self, name: str) -> None:
        """The right base class, a docstring that says what it is, a config that makes the same layer again."""
        cls = self.plugin(name)
        assert issubclass(cls, self.base)
        assert cls.__doc__
        layer = cls()
        again = cls.from_config(layer.get_config())
        assert isinstance(again, keras.layers.Layer)
        assert again.get_config() == layer.get_config()


class TestRankers(_PluginContract):
    kind, base = plugins.RANKERS, RankingTower

    @pytest.mark.parametrize("name", RANKERS)
    def test_contract(self, name: str) -> None:
        self.check(name)


class TestColdStarts(_PluginContract):
    kind, base = plugins.COLD_STARTS, ColdStartMethod

    @pytest.mark.parametrize("name", COLD_STARTS)
    def test_contract(self, name: str) -> None:
        self.check(name)


@pytest.mark.parametrize("kind", [plugins.SOURCES, plugins.RANKERS, plugins.COLD_STARTS])
def test_every_plugin_has_its_class_and_a_test(kind: plugins.Kind) -> None:
    """The meta-test: a file without the well-known class, or a source that no test names, fails here."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name in plugins.names(kind):
        assert plugins.load(kind, name).__name__ == kind.class_name
        if kind is plugins.SOURCES:
            assert f'"{name}"' in tests, f"no test makes a store from the source {name}"
