"""The two networks of DMR against the published code (tests/golden/dmr_components.npz).

It has 6 users with 12 steps, of which 0 to 12 are real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.features import Features
from mailcli.models.rankers import dmr
from mailcli.models.rankers._blocks import RealSteps, StepScorer
from tests.helpers.features import DIM, as_arrays, some_features, spec
from tests.helpers.networks import deep, pooled

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "dmr_components.npz"


@pytest.fixture
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN))


def set_scorer_weights(scorer: StepScorer, golden: dict[str, np.ndarray], prefix: str) -> None:
    names = [f"var.{prefix}_att_{k}.{part}" for k in (1, 2, 3) for part in ("kernel", "bias")]
    scorer.set_weights([golden[name] for name in names])


def attention_inputs(golden: dict[str, np.ndarray], context: str, mask: np.ndarray) -> list[Any]:
    """The real steps, a context for each, and the arrays that attention needs."""
    steps = tf.constant(golden["in.history"] * mask[:, :, None], tf.float32)
    real = RealSteps.from_mask(steps, tf.constant(mask))
    return [real, tf.constant(golden[context][mask], tf.float32), tf.range(mask.sum()), steps, tf.constant(mask)]


def test_item_to_item(golden: dict[str, np.ndarray]) -> None:
    layer = dmr.ItemToItem(16, context=golden["in.i2i_context"].shape[2])
    mask = golden["in.mask"] > 0
    inputs = [golden["in.target_item"], *attention_inputs(golden, "in.i2i_context", mask)]
    layer(*inputs)
    layer.align.set_weights([golden["var.dmr_align.kernel"], golden["var.dmr_align.bias"]])
    layer.prelu.set_weights([golden["var.dmr_prelu.prelu_dmr_prelu"].ravel()])
    set_scorer_weights(layer.scorer, golden, "tg")
    attended, relevance, attention = layer(*inputs)
    np.testing.assert_allclose(attended, golden["out.i2i_attention"], atol=1e-5)
    np.testing.assert_allclose(relevance, golden["out.i2i_relevance"], atol=1e-5)
    np.testing.assert_allclose(attention, golden["out.i2i_weights"][:, 0], atol=1e-5)
    assert mask.sum(axis=1).tolist() == [0, 1, 3, 7, 11, 12]


def user_to_item(golden: dict[str, np.ndarray], mask: np.ndarray) -> tuple[dmr.UserToItem, Any]:
    """The layer with the published weights, and its outputs."""
    layer = dmr.UserToItem(16, classes=40, vector=8)
    inputs = attention_inputs(golden, "in.u2i_context", mask)
    layer(*inputs)
    layer.align.set_weights([golden["var.dm_align.kernel"], golden["var.dm_align.bias"]])
    layer.prelu.set_weights([golden["var.dm_prelu.prelu_dm_prelu"].ravel()])
    set_scorer_weights(layer.scorer, golden, "dm")
    layer.project.set_weights([golden["var.dm_fcn_1.kernel"], golden["var.dm_fcn_1.bias"]])
    layer.project_prelu.set_weights([golden["var.dm_fcn_1.prelu_dm_fcn_1"]])
    layer.item_vectors.assign(golden["var.dm_item_vectors"])
    return layer, layer(*inputs)


def test_user_to_item(golden: dict[str, np.ndarray]) -> None:
    mask = golden["in.mask"] > 0
    layer, (user, _, scores) = user_to_item(golden, mask)
    np.testing.assert_allclose(user, golden["out.u2i_user_vector"], atol=1e-5)
    np.testing.assert_allclose(scores.numpy()[mask], golden["out.u2i_scores"][:, 0][mask], atol=1e-5)
    match = tf.reduce_sum(user * layer.items(golden["in.target_id"]), axis=1)
    np.testing.assert_allclose(match, golden["out.u2i_relevance"], atol=1e-5)


def test_the_vector_before_the_last_step_is_that_of_the_history_without_it(golden: dict[str, np.ndarray]) -> None:
    mask = golden["in.mask"] > 0
    _, (_, earlier, _) = user_to_item(golden, mask)
    shorter = mask.copy()
    shorter[:, -1] = False
    _, (user, _, _) = user_to_item(golden, shorter)
    np.testing.assert_allclose(earlier, user, atol=1e-6)


def test_match_loss_is_the_softmax_over_all_items_where_they_are_few() -> None:
    layer = dmr.UserToItem(DIM, classes=5, vector=3)
    user = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    ids = np.array([[0, 2, 4], [0, 0, 1], [1, 1, 3]])  # the second user has one behavior
    logits = user.astype(np.float64) @ layer.item_vectors.numpy().T
    expected = [np.log(np.exp(logits[row]).sum()) - logits[row, last] for row, last in ((0, 4), (2, 3))]
    assert float(layer.match_loss(user, tf.constant(ids))) == pytest.approx(np.mean(expected), abs=1e-6)
    assert float(layer.match_loss(user[:0], tf.constant(ids[:0]))) == 0


def test_match_loss_with_sampled_items_has_a_gradient() -> None:
    layer = dmr.UserToItem(DIM, classes=dmr.NEGATIVES + 500)
    ids = tf.constant([[3, 9], [4, 7]])
    with tf.GradientTape() as tape:
        loss = layer.match_loss(tf.ones([2, DIM]), ids)
    gradient = tape.gradient(loss, layer.item_vectors.value)
    assert np.isfinite(float(loss))
    assert len(gradient.indices) == dmr.NEGATIVES + 2


def test_the_match_loss_is_added_while_training_alone() -> None:
    """Of histories of 4, 3, 2, 1 and 4 steps: the softmax of all but the last step over the 7 items."""
    ranker = dmr.Ranker(units=(4,), match_weight=0.5)
    ranker.build_for(spec())
    features = some_features(5)
    ranker(features, training=False)
    assert ranker.losses == []
    ranker(features, training=True)
    (added,) = ranker.losses
    _, earlier, _ = ranker.u2i(*attention_inputs_of(ranker, features))
    logits = earlier.numpy().astype(np.float64) @ ranker.u2i.item_vectors.numpy().T
    last = features.step_ids.numpy()[:, -1]
    losses = [np.log(np.exp(logits[row]).sum()) - logits[row, last[row]] for row in (0, 1, 2, 4)]
    assert float(added) == pytest.approx(0.5 * np.mean(losses), rel=1e-5)


def attention_inputs_of(ranker: dmr.Ranker, features: Features) -> list[Any]:
    """The arguments of the user-to-item network, from the definitions of contexts: [position, action] of each step."""
    steps, mask = features.behaviors, features.behavior_mask
    real = RealSteps.from_mask(steps, mask)
    position, actions, ids = ranker.position.numpy(), features.action_table.numpy(), features.action_ids.numpy()
    contexts = [
        np.concatenate([position[step], actions[ids[row, step]]]) for row, step in zip(*np.nonzero(mask), strict=True)
    ]
    return [real, tf.constant(contexts), tf.range(len(contexts)), steps, mask]


def test_the_logit_is_that_of_the_tower_on_all_matches() -> None:
    ranker, features = dmr.Ranker(units=(4,)), some_features(6, new=[2])
    ranker.build_for(spec())
    ranker(features)
    inputs, x = attention_inputs_of(ranker, features), as_arrays(features)
    attended, relevance, _ = ranker.i2i(features.query, *inputs)
    user, _, _ = ranker.u2i(*inputs)
    items = ranker.u2i.item_vectors.numpy()[features.target_id.numpy()]
    match = (user.numpy() * items).sum(axis=1)
    crossed = x["behaviors"].sum(axis=1) * x["query"]
    parts = [pooled(x), crossed, attended.numpy(), relevance.numpy()[:, None], match[:, None]]
    np.testing.assert_allclose(ranker(features), deep(ranker, np.concatenate(parts, axis=1)), atol=1e-5)
