"""One contract for every ranker and every cold-start method; a new file is tested as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli import plugins
from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.data.schema import UNKNOWN
from mailcli.models.batch_spec import to_tensors
from mailcli.models.contracts import ColdStartMethod, RankingTower
from mailcli.models.factory import make_model
from mailcli.models.step import make_step
from mailcli.models.two_tower import TwoTower
from mailcli.training.evaluate import Scorer
from mailcli.training.two_stage import training_data

RANKERS = plugins.names(plugins.RANKERS)
COLD_STARTS = plugins.names(plugins.COLD_STARTS)
MATRIX = [(ranker, method) for ranker in RANKERS for method in COLD_STARTS]


def on_an_axis(ranker: str, method: str) -> bool:
    """Every method with BaseDNN, every ranker alone and with MAIL: what the default suite trains."""
    return ranker == "base" or method in {"none", "mail"}


CELLS = [pytest.param(cell, id="+".join(cell), marks=() if on_an_axis(*cell) else pytest.mark.slow) for cell in MATRIX]
#: Options that make a plugin quick to test; one that is not here is tested as it is.
QUICK = {
    **{name: {"ranker.units": "16,8"} for name in RANKERS if name != "emblr"},
    "mail": {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"},
    "cvae": {"cold_start.units": "16", "cold_start.latent": "4"},
    "metaemb": {"cold_start.steps": "3", "cold_start.users": "8"},
    "conse": {"cold_start.references": "64"},
}
BATCH = 64


def config_of(ranker: str, cold_start: str) -> RunConfig:
    shape = {"data": "buys", "embedding_dim": 8, "history": 10, "batch_size": BATCH}
    cell = {"ranker": ranker, "cold_start": cold_start}
    return make_config([shape, cell, QUICK.get(ranker, {}), QUICK.get(cold_start, {})])


def unknown_everything(batch: Batch) -> Batch:
    """Ids that no vocabulary has, and no history."""
    blank: Any = {name: np.full_like(batch[name], UNKNOWN) for name in ("attributes", "context", "target")}  # type: ignore[literal-required]
    empty: Any = {name: np.zeros_like(batch[name]) for name in ("behaviors", "actions")}  # type: ignore[literal-required]
    return {**batch, **blank, **empty}


def probabilities(model: TwoTower, batch: dict[str, Any]) -> np.ndarray:
    return np.asarray(model.probabilities(batch))


class Cell(NamedTuple):
    """A cell after 20 steps; a two-stage method has been fitted."""

    config: RunConfig
    model: TwoTower
    step: Callable[[dict[str, Any]], dict[str, Any]]
    """Algorithm 1 as a graph."""
    batch: Batch
    moved: dict[str, bool]
    """Whether training moved something of the ranking side, and every weight of the cold-start method."""


@pytest.fixture(scope="class")
def cell(request: pytest.FixtureRequest, with_buys: Dataset) -> Cell:
    """Made once for all tests of the cell."""
    config = config_of(*request.param)
    model = make_model(with_buys, config)
    step = make_step(model, config)
    view = views(with_buys, config)["train"]
    view = view._replace(rows=view.rows[: 5 * BATCH])
    alone = make_model(with_buys, config.baseline())
    assert not differ(values(ranking_side(alone)), values(ranking_side(model))), "it begins as the ranker alone does"
    before = {"ranking": values(ranking_side(model)), "method": values(model.cold_start.weights)}
    batches = Batches(with_buys, view, config.history, BATCH)
    for epoch in range(4):
        for batch in batches.shuffled(0, epoch):
            losses = step(to_tensors(batch))
            assert all(np.isfinite(float(value)) for value in losses.values())
    after = {"ranking": values(ranking_side(model)), "method": values(model.cold_start.weights)}
    if model.cold_start.two_stage:
        assert not differ(before["method"], after["method"]), "a two-stage method is trained by its fit alone"
        model.cold_start.fit(training_data(model, with_buys, batches, config.seed))
        assert not differ(after["ranking"], values(ranking_side(model))), "fit leaves the ranker as it is"
        after["method"] = values(model.cold_start.weights)
    moved = {
        "ranking": differ(before["ranking"], after["ranking"]),
        "method": all(not np.array_equal(a, b) for a, b in zip(before["method"], after["method"], strict=True)),
    }
    return Cell(config, model, step, batches.gather(view.rows[::5]), moved)


def ranking_side(model: TwoTower) -> list[Any]:
    return [*model.embedding.weights, *model.ranker.weights]


def values(variables: list[Any]) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in variables]


def differ(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return any(not np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(("ranker", "cold_start"), MATRIX)
def test_every_cell_of_the_matrix_scores(with_buys: Dataset, ranker: str, cold_start: str) -> None:
    config = config_of(ranker, cold_start)
    batches = Batches(with_buys, views(with_buys, config)["train"], config.history, BATCH)
    found = probabilities(make_model(with_buys, config), to_tensors(batches.gather(batches.view.rows[::50])))
    # Xavier's scale saturates a sum of products such as DeepFM's before it has learnt.
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("cell", CELLS, indirect=True, scope="class")
class TestCell:
    """Every cell of the ranker x cold-start matrix."""

    def test_each_part_learns(self, cell: Cell) -> None:
        assert cell.moved["ranking"]
        assert cell.moved["method"]

    def test_gives_a_probability_per_impression(self, cell: Cell) -> None:
        heads = 2 if cell.config.ranker == "esmm" else 1
        found = probabilities(cell.model, to_tensors(cell.batch))
        assert found.shape == (BATCH, heads)
        assert ((found > 0) & (found < 1)).all()
        if heads == 2:
            assert (found[:, 1] < found[:, 0]).all(), "pCTCVR = pCTR x pCVR"

    def test_weights_round_trip(self, cell: Cell, with_buys: Dataset, tmp_path: Path) -> None:
        batch = to_tensors(cell.batch)
        scores = probabilities(cell.model, batch)
        cell.model.save_weights(tmp_path / "m.weights.h5")
        other = make_model(with_buys, make_config([vars(cell.config), {"seed": 9}]))
        assert not np.array_equal(probabilities(other, batch), scores)
        other.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_array_equal(probabilities(other, batch), scores)

    def test_scores_do_not_depend_on_the_batch_size(self, cell: Cell) -> None:
        batch = to_tensors(cell.batch)
        parts = [
            probabilities(cell.model, {name: tensor[at : at + 7] for name, tensor in batch.items()})
            for at in range(0, BATCH, 7)
        ]
        np.testing.assert_allclose(np.concatenate(parts), probabilities(cell.model, batch), atol=1e-6)

    def test_an_old_user_scores_the_same_beside_new_ones(self, cell: Cell) -> None:
        batch = to_tensors(cell.batch)
        old = np.flatnonzero(~cell.model.embedding(batch).is_new.numpy())
        alone = probabilities(cell.model, {name: tf.gather(tensor, old) for name, tensor in batch.items()})
        np.testing.assert_allclose(alone, probabilities(cell.model, batch)[old], atol=1e-5)

    def test_survives_unknown_ids_and_empty_histories(self, cell: Cell) -> None:
        nobody = to_tensors(unknown_everything(cell.batch))
        assert np.isfinite(probabilities(cell.model, nobody)).all()
        losses = cell.step(nobody)
        assert all(np.isfinite(float(value)) for value in losses.values())

    @pytest.mark.parametrize("kind", ["new", "old"])
    def test_survives_batches_of_one_kind_and_of_one_impression(self, cell: Cell, kind: str) -> None:
        batch = to_tensors(cell.batch)
        is_new = cell.model.embedding(batch).is_new.numpy()
        rows = np.flatnonzero(is_new == (kind == "new"))
        for chosen in (rows, rows[:1]):
            part = {name: tf.gather(tensor, chosen) for name, tensor in batch.items()}
            assert np.isfinite(probabilities(cell.model, part)).all()
            losses = cell.step(part)
            assert all(np.isfinite(float(value)) for value in losses.values())


@pytest.mark.parametrize(
    ("ranker", "cold_start"),
    [*((ranker, "mail") for ranker in RANKERS), *(("base", method) for method in COLD_STARTS if method != "mail")],
)
def test_a_graph_scores_as_the_model_does(with_buys: Dataset, ranker: str, cold_start: str) -> None:
    """One graph for every batch size, for every ranker and every method."""
    config = config_of(ranker, cold_start)
    model = make_model(with_buys, config)
    view = views(with_buys, config)["train"]
    view = view._replace(rows=view.rows[: 2 * BATCH])
    batches = Batches(with_buys, view, config.history, BATCH)
    one_by_one = [probabilities(model, to_tensors(batch)) for batch in batches.in_order()]
    scores = Scorer(model, config.history)(batches, "")
    np.testing.assert_allclose(scores, np.squeeze(np.concatenate(one_by_one)), atol=1e-6)
    by_7 = Scorer(model, config.history)(Batches(with_buys, view, config.history, 7), "")
    np.testing.assert_allclose(by_7, scores, atol=1e-6)


class _PluginContract:
    kind: plugins.PluginKind
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
def test_every_plugin_has_its_class_and_a_test(kind: plugins.PluginKind) -> None:
    """The meta-test: a file without the well-known class, or a source that no test names, fails here."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.parent.rglob("test_*.py"))
    for name in plugins.names(kind):
        assert plugins.load(kind, name).__name__ == kind.class_name
        if kind is plugins.SOURCES:
            assert f'"{name}"' in tests, f"no test makes a dataset from the source {name}"
