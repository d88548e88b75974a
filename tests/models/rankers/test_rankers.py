"""Each ranker's own formula, against reference outputs or NumPy by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.features import Features
from mailcli.models.losses import click_loss, ctcvr_loss
from mailcli.models.rankers import dcnv2, deepfm, din, dmr, emblr, esmm, widedeep
from mailcli.models.rankers._blocks import RealSteps, StepScorer, Wide
from tests.helpers.features import DIM, N_V, some_features, spec
from tests.helpers.oracles import leaky

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "dmr_components.npz"


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def weights(layer: Any) -> list[np.ndarray]:
    return [np.asarray(w, np.float64) for w in layer.get_weights()]


def arrays(features: Features) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().astype(np.float64) for name, tensor in features._asdict().items()}


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(3)


class TestDmr:
    """The published code's two networks: tests/golden/dmr_components.npz (6 users, 12 steps, 0 to 12 of them real)."""

    @pytest.fixture
    def golden(self) -> dict[str, np.ndarray]:
        return dict(np.load(GOLDEN))

    @staticmethod
    def fill(scorer: StepScorer, golden: dict[str, np.ndarray], prefix: str) -> None:
        names = [f"var.{prefix}_att_{k}.{part}" for k in (1, 2, 3) for part in ("kernel", "bias")]
        scorer.set_weights([golden[name] for name in names])

    @staticmethod
    def inputs(golden: dict[str, np.ndarray], context: str, mask: np.ndarray) -> list[Any]:
        """The real steps, a context of its own for each, and the arrays that attention needs."""
        steps = tf.constant(golden["in.history"] * mask[:, :, None], tf.float32)
        real = RealSteps.of(steps, tf.constant(mask))
        return [real, tf.constant(golden[context][mask], tf.float32), tf.range(mask.sum()), steps, tf.constant(mask)]

    def test_item_to_item(self, golden: dict[str, np.ndarray]) -> None:
        layer = dmr.ItemToItem(16, context=golden["in.i2i_context"].shape[2])
        mask = golden["in.mask"] > 0
        inputs = [golden["in.target_item"], *self.inputs(golden, "in.i2i_context", mask)]
        layer(*inputs)
        layer.align.set_weights([golden["var.dmr_align.kernel"], golden["var.dmr_align.bias"]])
        layer.prelu.set_weights([golden["var.dmr_prelu.prelu_dmr_prelu"].ravel()])
        self.fill(layer.scorer, golden, "tg")
        attended, relevance, attention = layer(*inputs)
        np.testing.assert_allclose(attended, golden["out.i2i_attention"], atol=1e-5)
        np.testing.assert_allclose(relevance, golden["out.i2i_relevance"], atol=1e-5)
        np.testing.assert_allclose(attention, golden["out.i2i_weights"][:, 0], atol=1e-5)
        assert mask.sum(axis=1).tolist() == [0, 1, 3, 7, 11, 12]

    def user_to_item(self, golden: dict[str, np.ndarray], mask: np.ndarray) -> tuple[dmr.UserToItem, Any]:
        layer = dmr.UserToItem(16, classes=40, vector=8)
        inputs = self.inputs(golden, "in.u2i_context", mask)
        layer(*inputs)
        layer.align.set_weights([golden["var.dm_align.kernel"], golden["var.dm_align.bias"]])
        layer.prelu.set_weights([golden["var.dm_prelu.prelu_dm_prelu"].ravel()])
        self.fill(layer.scorer, golden, "dm")
        layer.project.set_weights([golden["var.dm_fcn_1.kernel"], golden["var.dm_fcn_1.bias"]])
        layer.project_prelu.set_weights([golden["var.dm_fcn_1.prelu_dm_fcn_1"]])
        layer.item_vectors.assign(golden["var.dm_item_vectors"])
        return layer, layer(*inputs)

    def test_user_to_item(self, golden: dict[str, np.ndarray]) -> None:
        mask = golden["in.mask"] > 0
        layer, (user, _, scores) = self.user_to_item(golden, mask)
        np.testing.assert_allclose(user, golden["out.u2i_user_vector"], atol=1e-5)
        np.testing.assert_allclose(scores.numpy()[mask], golden["out.u2i_scores"][:, 0][mask], atol=1e-5)
        match = tf.reduce_sum(user * layer.items(golden["in.target_id"]), axis=1)
        np.testing.assert_allclose(match, golden["out.u2i_relevance"], atol=1e-5)

    def test_the_vector_before_the_last_step_is_that_of_the_history_without_it(
        self, golden: dict[str, np.ndarray]
    ) -> None:
        mask = golden["in.mask"] > 0
        _, (_, earlier, _) = self.user_to_item(golden, mask)
        shorter = mask.copy()
        shorter[:, -1] = False
        _, (whole, _, _) = self.user_to_item(golden, shorter)
        np.testing.assert_allclose(earlier, whole, atol=1e-6)

    def test_match_loss_is_the_softmax_over_all_items_where_they_are_few(self) -> None:
        layer = dmr.UserToItem(DIM, classes=5, vector=3)
        user = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
        ids = np.array([[0, 2, 4], [0, 0, 1], [1, 1, 3]])  # the second user has one behavior
        logits = user.astype(np.float64) @ layer.item_vectors.numpy().T
        expected = [np.log(np.exp(logits[row]).sum()) - logits[row, last] for row, last in ((0, 4), (2, 3))]
        assert float(layer.match_loss(user, tf.constant(ids))) == pytest.approx(np.mean(expected), abs=1e-6)
        assert float(layer.match_loss(user[:0], tf.constant(ids[:0]))) == 0

    def test_match_loss_with_sampled_items_has_a_gradient(self) -> None:
        layer = dmr.UserToItem(DIM, classes=dmr.NEGATIVES + 500)
        ids = tf.constant([[3, 9], [4, 7]])
        with tf.GradientTape() as tape:
            loss = layer.match_loss(tf.ones([2, DIM]), ids)
        gradient = tape.gradient(loss, layer.item_vectors.value)
        assert np.isfinite(float(loss))
        assert len(gradient.indices) == dmr.NEGATIVES + 2

    def test_the_match_loss_is_added_while_training_alone(self) -> None:
        ranker = dmr.Ranker(units=(4,), match_weight=0.5)
        ranker.build_for(spec())
        features = some_features(5)
        ranker(features, training=False)
        assert ranker.losses == []
        ranker(features, training=True)
        assert len(ranker.losses) == 1


def test_din_weighs_each_step_by_its_match_with_the_target() -> None:
    ranker = din.Ranker(units=(4,))
    ranker.build_for(spec())
    features = some_features(6, new=[2])
    ranker(features)
    w1, b1, w2, b2, w3, b3 = weights(ranker.scorer)
    x = arrays(features)
    expected = np.zeros((6, DIM))
    for row in range(6):
        for step in range(N_V):
            if features.behavior_mask[row, step]:
                q, h = x["query"][row], x["behaviors"][row, step]
                z = sigmoid(sigmoid(np.concatenate([q, h, q - h, q * h]) @ w1 + b1) @ w2 + b2)
                expected[row] += (z @ w3 + b3) * h
    np.testing.assert_allclose(ranker.interest(features), expected, atol=1e-5)


def test_wide_adds_a_weight_per_id() -> None:
    layer = Wide()
    layer.build_for(spec())
    layer.weight.assign(np.arange(layer.weight.shape[0], dtype=np.float32))
    features = some_features(2)._replace(table_rows=tf.constant([[3, 0, 5], [1, 1, 0]]))
    # Row 0 is padding and has no weight, whatever is written there.
    layer.weight.assign(tf.tensor_scatter_nd_update(layer.weight.value, [[0]], [100.0]))
    assert layer(features).numpy().tolist() == [8.0, 2.0]


def test_wide_takes_dense_features_too() -> None:
    layer = Wide()
    layer.build_for(spec(dense=("price",)))
    layer.dense_weight.assign([[2.0]])
    features = some_features(2)._replace(dense=tf.constant([[1.0], [-3.0]]))
    assert layer(features).numpy().tolist() == [2.0, -6.0]


def test_deepfm_sums_the_products_of_all_pairs() -> None:
    each = np.random.default_rng(0).normal(size=(4, 5, 3))
    expected = [sum(e[i] @ e[j] for i in range(5) for j in range(i)) for e in each]
    np.testing.assert_allclose(deepfm.pairwise_products(tf.constant(each)), expected, atol=1e-12)


def test_widedeep_is_the_sum_of_its_parts() -> None:
    ranker = widedeep.Ranker(units=(4,))
    ranker.build_for(spec())
    features = some_features(3)
    before = ranker(features).numpy()
    rows = np.zeros(ranker.wide.weight.shape, np.float32)
    rows[1:] = 0.25
    ranker.wide.weight.assign(rows)
    added = 0.25 * np.count_nonzero(features.table_rows.numpy(), axis=1)
    np.testing.assert_allclose(ranker(features).numpy() - before, added, atol=1e-6)


def test_dcnv2_crosses_with_the_input() -> None:
    ranker = dcnv2.Ranker(cross_layers=2, units=(4,))
    features = some_features(3)
    ranker(features)
    x = arrays(features)
    parts = [x["attributes"], x["context"], x["target"], x["behaviors"].mean(axis=1, keepdims=True)]
    x0 = crossed = np.concatenate(parts, axis=1).reshape(3, -1)
    for layer in ranker.cross:
        kernel, bias = weights(layer)
        crossed = x0 * (crossed @ kernel + bias) + crossed
    deep = x0
    for dense, norm in zip(ranker.tower.hidden, ranker.tower.norm, strict=True):
        kernel, bias = weights(dense)
        gamma, beta, mean, variance = weights(norm)
        deep = leaky((deep @ kernel + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta)
    kernel, bias = weights(ranker.logit)
    expected = (np.hstack([crossed, deep]) @ kernel + bias)[:, 0]
    np.testing.assert_allclose(ranker(features), expected, atol=1e-5)


def test_emblr_is_linear_in_the_pooled_embeddings() -> None:
    ranker = emblr.Ranker()
    features = some_features(4, new=[1])
    ranker(features)
    kernel, bias = weights(ranker.logit)
    x = arrays(features)
    pooled = np.hstack([x[name].sum(axis=1) for name in ("attributes", "behaviors", "context", "target")])
    np.testing.assert_allclose(ranker(features), (pooled @ kernel + bias)[:, 0], atol=1e-5)


class TestEsmm:
    """pCTCVR = pCTR · pCVR."""

    def test_the_loss_is_that_of_the_product(self) -> None:
        ctr, cvr, bought = np.array([0.3, -2.0, 4.0]), np.array([1.0, 0.5, -1.0]), np.array([1.0, 0.0, 0.0])
        p = sigmoid(ctr) * sigmoid(cvr)
        expected = -np.mean(bought * np.log(p) + (1 - bought) * np.log(1 - p))
        found = ctcvr_loss(*(tf.constant(x, tf.float32) for x in (bought, ctr, cvr)))
        assert float(found) == pytest.approx(expected, abs=1e-6)

    def test_the_loss_and_its_gradient_are_finite_at_the_ends(self) -> None:
        logits = tf.constant([60.0, -60.0])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = ctcvr_loss(tf.constant([0.0, 1.0]), logits, logits)
        assert np.isfinite(float(loss))
        assert np.isfinite(tape.gradient(loss, logits).numpy()).all()

    def test_two_heads_on_one_input(self) -> None:
        ranker = esmm.Ranker(units=(4,))
        heads = ranker(some_features(3))
        assert {name: logit.shape for name, logit in heads.items()} == {"click": (3,), "conversion": (3,)}
        assert not np.array_equal(heads["click"], heads["conversion"])
        assert np.isfinite(float(click_loss(tf.ones(3), heads["click"])))
