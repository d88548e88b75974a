"""One contract for every ranker and every cold-start method; a new file is tested automatically."""

from __future__ import annotations

import re
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
from mailcli.models.factory import _instantiate, make_model
from mailcli.models.step import make_step
from mailcli.models.two_tower import TwoTower
from mailcli.settings.class_code import class_attribute
from mailcli.training.preparation import training_rows
from mailcli.training.scorer import Scorer
from mailcli.training.two_stage import training_data
from tests.helpers.models import AXES, BATCH, COLD_STARTS, QUICK, RANKERS, changes, config_of, values

MATRIX = [(ranker, method) for ranker in RANKERS for method in COLD_STARTS]


#: Rankers that read behavior as its sum, as the base ranker does, and have one head.
LIKE_BASE = {"dcnv2", "deepfm", "emblr", "widedeep"}
#: Rankers that read behavior by attention, as DMR does.
LIKE_DMR = {"din"}
#: Methods that are fitted to a trained ranker, as `llae` and `metaemb` are.
LIKE_LLAE = {"conse", "cvar", "eszsl", "neighbors"}
#: Methods that are not there when a model scores.
LIKE_NONE = {"dropout", "masked", "pfd"}


#: Methods whose graph has what another's has: MAIL's, LLAE's, or that of no method.
LIKE_ANOTHER = LIKE_LLAE | LIKE_NONE | {"cvae", "mail-pooled", "metaemb"}
#: Cells that train as a quick one does: DIN as DMR, `masked` as `dropout`, `metaemb` as `llae`.
LIKE_A_QUICK_CELL = {("din", "none"), ("base", "masked"), ("base", "metaemb")}


def is_trained_by_default(ranker: str, method: str) -> bool:
    """Methods with BaseDNN, rankers without a method, and MAIL with attention; new ones, too."""
    if ranker in LIKE_BASE or method in LIKE_LLAE or (ranker, method) in LIKE_A_QUICK_CELL:
        return False
    return ranker == "base" or method == "none" or (method == "mail" and ranker == "dmr")


def is_scored_by_default(ranker: str, method: str) -> bool:
    """Any method that scores with a ranker unlike BaseDNN and DMR, and everything else by itself."""
    if (ranker, method) in LIKE_A_QUICK_CELL:
        return True
    if ranker in {"dmr", "esmm"} and method in LIKE_LLAE:
        return False
    return method == "none" or not (ranker in LIKE_BASE | LIKE_DMR or method in LIKE_NONE)


CELLS = [
    pytest.param(cell, id="+".join(cell), marks=() if is_trained_by_default(*cell) else pytest.mark.slow)
    for cell in MATRIX
]


def with_unknown_ids(batch: Batch) -> Batch:
    """The batch with ids that no vocabulary has, and without histories."""
    unknown: Any = {name: np.full_like(batch[name], UNKNOWN) for name in ("attributes", "context", "target")}  # type: ignore[literal-required]
    empty: Any = {name: np.zeros_like(batch[name]) for name in ("behaviors", "actions")}  # type: ignore[literal-required]
    return {**batch, **unknown, **empty}


def probabilities(model: TwoTower, batch: dict[str, Any]) -> np.ndarray:
    return np.asarray(model.probabilities(batch))


class Cell(NamedTuple):
    """A cell after 20 steps; a two-stage method is fitted."""

    config: RunConfig
    model: TwoTower
    step: Callable[[dict[str, Any]], dict[str, Any]]
    """Algorithm 1 as a graph."""
    batch: Batch
    changed: dict[str, bool]
    """Whether training changed the ranking side, and every weight of the cold-start method."""


@pytest.fixture(scope="class")
def cell(request: pytest.FixtureRequest, with_buys: Dataset) -> Cell:
    """Trained once for all tests of the cell."""
    config = config_of(*request.param)
    model = make_model(with_buys, config)
    step = make_step(model, config)
    view = views(with_buys, config)["train"]
    view = view._replace(rows=view.rows[: 5 * BATCH])
    baseline = make_model(with_buys, config.baseline())
    assert not any(changes(values(ranking_side(baseline)), values(ranking_side(model)))), "starts as the baseline does"
    before = {"ranking": values(ranking_side(model)), "method": values(model.cold_start.weights)}
    batches = Batches(with_buys, view, config.history, BATCH)
    a_teacher = np.random.default_rng(0).normal(size=len(view.rows)).astype(np.float32)
    rows = training_rows(with_buys, view, config, lambda folds: a_teacher)
    batches.prepared = model.cold_start.prepare(rows)
    for epoch in range(4):
        for batch in batches.shuffled(0, epoch):
            losses = step(to_tensors(batch))
            assert all(np.isfinite(float(value)) for value in losses.values())
    after = {"ranking": values(ranking_side(model)), "method": values(model.cold_start.weights)}
    if model.cold_start.two_stage:
        assert not any(changes(before["method"], after["method"])), "only fit trains a two-stage method"
        model.cold_start.fit(training_data(model, with_buys, batches, config.seed))
        assert not any(changes(after["ranking"], values(ranking_side(model)))), "fit does not change the ranker"
        after["method"] = values(model.cold_start.weights)
    changed = {
        "ranking": any(changes(before["ranking"], after["ranking"])),
        "method": all(changes(before["method"], after["method"])),
    }
    # As another split's, which have no prepared numbers.
    batches.prepared = None
    return Cell(config, model, step, batches.gather(view.rows[::5]), changed)


def ranking_side(model: TwoTower) -> list[Any]:
    return [*model.embedding.weights, *model.ranker.weights]


@pytest.mark.parametrize(
    ("ranker", "cold_start"),
    [
        pytest.param(*cell, marks=[] if is_scored_by_default(*cell) else pytest.mark.slow)
        for cell in MATRIX
        if not is_trained_by_default(*cell)
    ],
)
def test_every_cell_of_the_matrix_scores(with_buys: Dataset, ranker: str, cold_start: str) -> None:
    """TestCell, whose other cells are slow, trains and scores the rest."""
    config = config_of(ranker, cold_start)
    batches = Batches(with_buys, views(with_buys, config)["train"], config.history, BATCH)
    scores = probabilities(make_model(with_buys, config), to_tensors(batches.gather(batches.view.rows[::50])))
    # Before training, Xavier's scale saturates a sum of products such as DeepFM's.
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("cell", CELLS, indirect=True, scope="class")
class TestCell:
    """Every cell of the ranker x cold-start matrix."""

    def test_each_part_learns(self, cell: Cell) -> None:
        assert cell.changed["ranking"]
        assert cell.changed["method"]

    def test_gives_a_probability_per_impression(self, cell: Cell) -> None:
        heads = 2 if cell.config.ranker == "esmm" else 1
        scores = probabilities(cell.model, to_tensors(cell.batch))
        assert scores.shape == (BATCH, heads)
        assert ((scores > 0) & (scores < 1)).all()
        if heads == 2:
            assert (scores[:, 1] < scores[:, 0]).all(), "pCTCVR = pCTR x pCVR"

    def test_weights_round_trip(self, cell: Cell, with_buys: Dataset, tmp_path: Path) -> None:
        batch = to_tensors(cell.batch)
        scores = probabilities(cell.model, batch)
        cell.model.save_weights(tmp_path / "m.weights.h5")
        restored = make_model(with_buys, make_config([vars(cell.config), {"seed": 9}]))
        assert not np.array_equal(probabilities(restored, batch), scores)
        restored.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_array_equal(probabilities(restored, batch), scores)

    def test_scores_do_not_depend_on_the_batch_size(self, cell: Cell) -> None:
        batch = to_tensors(cell.batch)
        parts = [
            probabilities(cell.model, {name: tensor[start : start + 7] for name, tensor in batch.items()})
            for start in range(0, BATCH, 7)
        ]
        np.testing.assert_allclose(np.concatenate(parts), probabilities(cell.model, batch), atol=1e-6)

    def test_an_old_user_scores_the_same_beside_new_ones(self, cell: Cell) -> None:
        batch = to_tensors(cell.batch)
        old = np.flatnonzero(~cell.model.embedding(batch).is_new.numpy())
        without_new = probabilities(cell.model, {name: tf.gather(tensor, old) for name, tensor in batch.items()})
        np.testing.assert_allclose(without_new, probabilities(cell.model, batch)[old], atol=1e-5)

    def test_it_says_whether_it_generates_behavior(self, cell: Cell) -> None:
        """Whether new users' features have steps, or what they think of the target, that the data do not say."""
        features = cell.model.embedding(to_tensors(with_unknown_ids(cell.batch)))
        completed = cell.model.cold_start.complete(features)
        made = bool(completed.behavior_mask.numpy().any() or np.isfinite(completed.prepared.numpy()).any())
        assert cell.model.cold_start.generates == made
        assert class_attribute(plugins.COLD_STARTS, cell.config.cold_start, "generates") == made

    def test_survives_unknown_ids_and_empty_histories(self, cell: Cell) -> None:
        unknown = to_tensors(with_unknown_ids(cell.batch))
        assert np.isfinite(probabilities(cell.model, unknown)).all()
        losses = cell.step(unknown)
        assert all(np.isfinite(float(value)) for value in losses.values())

    @pytest.mark.parametrize("kind", ["new", "old"])
    def test_survives_batches_of_one_kind_and_of_one_impression(self, cell: Cell, kind: str) -> None:
        batch = to_tensors(cell.batch)
        is_new = cell.model.embedding(batch).is_new.numpy()
        rows = np.flatnonzero(is_new == (kind == "new"))
        for part_rows in (rows, rows[:1]):
            part = {name: tf.gather(tensor, part_rows) for name, tensor in batch.items()}
            assert np.isfinite(probabilities(cell.model, part)).all()
            losses = cell.step(part)
            assert all(np.isfinite(float(value)) for value in losses.values())


@pytest.mark.parametrize(
    ("ranker", "cold_start"),
    [
        pytest.param(
            *cell, marks=pytest.mark.slow if cell[0] in LIKE_BASE | LIKE_DMR or cell[1] in LIKE_ANOTHER else []
        )
        for cell in AXES
    ],
)
def test_a_graph_scores_as_the_model_does(with_buys: Dataset, ranker: str, cold_start: str) -> None:
    """One graph for every batch size, for every ranker and every method."""
    config = config_of(ranker, cold_start)
    model = make_model(with_buys, config)
    view = views(with_buys, config)["train"]
    view = view._replace(rows=view.rows[: 2 * BATCH])
    batches = Batches(with_buys, view, config.history, BATCH)
    one_by_one = [probabilities(model, to_tensors(batch)) for batch in batches.in_order()]
    score = Scorer(model)
    scores = score(batches, "")
    np.testing.assert_allclose(scores, np.squeeze(np.concatenate(one_by_one)), atol=1e-6)
    by_7 = score(Batches(with_buys, view, config.history, 7), "")
    np.testing.assert_allclose(by_7, scores, atol=1e-6)


class _PluginContract:
    kind: plugins.PluginKind
    base: Any

    def plugin(self, name: str) -> Any:
        return plugins.load(self.kind, name)

    def check(self, name: str) -> None:
        """The right base class, a docstring, and a config that gives the same layer again."""
        cls = self.plugin(name)
        assert issubclass(cls, self.base)
        assert cls.__doc__
        options = {key.partition(".")[2]: value for key, value in QUICK.get(name, {}).items()}
        layer = _instantiate(self.kind, name, options)
        config = layer.get_config()
        assert set(options) <= set(config)
        copy = cls.from_config(config)
        assert isinstance(copy, keras.layers.Layer)
        assert copy.get_config() == config


class TestRankers(_PluginContract):
    kind, base = plugins.RANKERS, RankingTower

    @pytest.mark.parametrize("name", RANKERS)
    def test_its_config_gives_the_same_layer(self, name: str) -> None:
        self.check(name)


class TestColdStarts(_PluginContract):
    kind, base = plugins.COLD_STARTS, ColdStartMethod

    @pytest.mark.parametrize("name", COLD_STARTS)
    def test_its_config_gives_the_same_layer(self, name: str) -> None:
        self.check(name)


@pytest.mark.parametrize("kind", [plugins.SOURCES, plugins.RANKERS, plugins.COLD_STARTS, plugins.TRIVIAL_ROWS])
def test_every_plugin_has_its_class_and_a_test(kind: plugins.PluginKind) -> None:
    """The meta-test: a file without the well-known class, or a source that no test names, fails here."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.parent.rglob("test_*.py"))
    for name in plugins.names(kind):
        assert plugins.load(kind, name).__name__ == kind.class_name
        if kind is plugins.SOURCES:
            made = rf'preprocess\W+"{re.escape(name)}"'
            assert re.search(made, tests), f"no test makes a dataset from the source {name}"
