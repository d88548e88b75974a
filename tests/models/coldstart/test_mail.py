"""MAIL's zero-shot tower against NumPy by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart.mail import ColdStart
from tests.helpers.features import DIM, N_A, N_V, layer_weights, some_features, spec
from tests.helpers.networks import attention_pooling
from tests.helpers.oracles import leaky

SMALL: dict[str, Any] = {"attention_units": 3, "encoder_units": (6, 5, 4), "decoder_units": (5, 6)}


def tower(variant: str = "base", **options: Any) -> ColdStart:
    tf.keras.utils.set_random_seed(5)
    layer = ColdStart(variant=variant, **SMALL, **options)
    layer.build_for(spec())
    return layer


def residual(x: np.ndarray, layer: Any, linear: bool) -> np.ndarray:
    w1, b1, w2, b2, w3, b3 = layer_weights(layer)
    z1 = leaky(x @ w1 + b1)
    z2 = leaky(np.hstack([z1, x]) @ w2 + b2)
    out = np.hstack([z2, x]) @ w3 + b3
    return out if linear else leaky(out)


def test_losses_are_equations_3_to_6() -> None:
    layer, x = tower(bandwidth="fixed"), some_features(5)
    a3, v3, mask = (np.asarray(t, np.float64) for t in (x.attributes, x.behaviors, x.behavior_mask))
    a, v = a3.reshape(5, -1), v3.reshape(5, -1)
    p = residual(attention_pooling(layer.pool_a, a3, np.ones((5, N_A), bool)), layer.e1, linear=False)
    q = residual(attention_pooling(layer.pool_v, v3, mask > 0), layer.e2, linear=False)

    def reconstruction(code: np.ndarray) -> float:
        error_a = (residual(code, layer.d1, linear=True) - a) ** 2
        error_v = (residual(code, layer.d2, linear=True) - v) ** 2
        return float(np.mean(error_a.sum(axis=1) + error_v.sum(axis=1)))

    def kernel(s: np.ndarray, t: np.ndarray) -> float:
        return float(np.mean([[np.exp(-((i - j) ** 2).sum() / 2) for j in t] for i in s]))

    losses = layer.zero_shot_losses(x)
    assert float(losses["L_a"]) == pytest.approx(reconstruction(p), rel=1e-5)
    assert float(losses["L_v"]) == pytest.approx(reconstruction(q), rel=1e-5)
    assert float(losses["L_d"]) == pytest.approx(kernel(p, p) + kernel(q, q) - 2 * kernel(p, q), abs=1e-6)


def test_averaged_errors_are_those_of_the_published_code() -> None:
    layer, x = tower(reduction="mean"), some_features(5)
    a3, v3 = (np.asarray(t, np.float64) for t in (x.attributes, x.behaviors))
    p = residual(attention_pooling(layer.pool_a, a3, np.ones((5, N_A), bool)), layer.e1, linear=False)
    # Each term is a mean over its own numbers: 6 of attributes, 8 of behaviors.
    error_a = ((residual(p, layer.d1, linear=True) - a3.reshape(5, 6)) ** 2).mean()
    error_v = ((residual(p, layer.d2, linear=True) - v3.reshape(5, 8)) ** 2).mean()
    assert float(layer.zero_shot_losses(x)["L_a"]) == pytest.approx(error_a + error_v, rel=1e-5)


def test_masked_padding_counts_neither_in_the_losses_nor_in_the_sum() -> None:
    layer, x = tower(padding="masked"), some_features(4)
    a3, v3, mask = (np.asarray(t, np.float64) for t in (x.attributes, x.behaviors, x.behavior_mask))
    p = residual(attention_pooling(layer.pool_a, a3, np.ones((4, N_A), bool)), layer.e1, linear=False)
    error_a = ((residual(p, layer.d1, linear=True) - a3.reshape(4, -1)) ** 2).sum(axis=1)
    error_v = (((residual(p, layer.d2, linear=True).reshape(v3.shape) - v3) ** 2).sum(axis=2) * mask).sum(axis=1)
    assert not mask.all()
    assert float(layer.zero_shot_losses(x)["L_a"]) == pytest.approx(float(np.mean(error_a + error_v)), rel=1e-5)
    # n̂ = 4 σ(0) = 2 for everybody.
    layer.length.share.set_weights([np.zeros((4, 1)), np.zeros(1)])
    v_hat, total, _ = layer.generate(x.attributes)
    np.testing.assert_allclose(total, v_hat.numpy()[:, 2:].sum(axis=1), atol=1e-6)


def test_virtual_behavior_is_equation_8() -> None:
    layer, x = tower(), some_features(4)
    h_a = attention_pooling(layer.pool_a, np.asarray(x.attributes, np.float64), np.ones((4, N_A), bool))
    expected = residual(residual(h_a, layer.e1, linear=False), layer.d2, linear=True)
    np.testing.assert_allclose(layer.generate(x.attributes)[0], expected.reshape(4, N_V, DIM), atol=1e-5)


def test_variant_none_is_a_linear_map_without_a_loss() -> None:
    layer, x = tower("none"), some_features(4)
    w, b = layer_weights(layer.linear)
    expected = np.asarray(x.attributes).reshape(4, -1) @ w + b
    np.testing.assert_allclose(layer.generate(x.attributes)[0], expected.reshape(4, N_V, DIM), atol=1e-5)
    assert not layer.co_trained
    assert len(layer.trainable_variables) == 2


@pytest.mark.parametrize(
    ("variant", "terms"), [("single", {"L_a"}), ("dual", {"L_a", "L_v"}), ("base", {"L_a", "L_v", "L_d"})]
)
@pytest.mark.parametrize(("steps", "length"), [("all", set()), ("predicted", {"L_n"})])
def test_variants_of_table_3(variant: str, terms: set[str], steps: str, length: set[str]) -> None:
    layer = tower(variant, steps=steps)
    assert layer.co_trained
    with tf.GradientTape() as tape:
        losses = layer.zero_shot_losses(some_features(4), training=True)
        total = tf.add_n(list(losses.values()))
    assert set(losses) == terms | length
    assert None not in tape.gradient(total, layer.trainable_variables), "a variable that no loss trains"


def test_equation_10_replaces_v_of_new_users_alone() -> None:
    layer, x = tower(steps="all"), some_features(5, new=[1, 3])
    completed = layer.complete(x)
    generated = layer.generate(x.attributes)[0].numpy()
    for row in range(5):
        if row in {1, 3}:
            np.testing.assert_allclose(completed.behaviors[row], generated[row], atol=1e-6)
            assert completed.behavior_mask[row].numpy().all()
        else:
            np.testing.assert_array_equal(completed.behaviors[row], x.behaviors[row])
            np.testing.assert_array_equal(completed.behavior_mask[row], x.behavior_mask[row])
    assert completed.attributes is x.attributes


@pytest.mark.parametrize("variant", ["none", "single", "dual", "base"])
def test_no_gradient_reaches_the_embeddings(variant: str) -> None:
    layer, x = tower(variant), some_features(5, new=[1])
    with tf.GradientTape() as tape:
        tape.watch([x.attributes, x.behaviors])
        total = tf.reduce_sum(tf.gather(layer.complete(x, training=True).behaviors, [1]))
        if layer.co_trained:
            total += tf.add_n(list(layer.zero_shot_losses(x, training=True).values()))
    gradient = tape.gradient(total, [x.attributes, x.behaviors], unconnected_gradients="zero")
    assert not np.asarray(gradient[0]).any()
    # v passes through for old users; only a new user's row is summed, so no gradient reaches v either.
    assert not np.asarray(gradient[1]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "bass"}, "variant='bass'"),
        ({"reduction": "max"}, "reduction='max'"),
        ({"encoder_units": (3, 3)}, r"\(3, 3\)"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ColdStart(**options)


def test_an_adaptive_bandwidth_is_that_of_the_codes() -> None:
    layer, x = tower(), some_features(5)
    a3, v3, mask = (np.asarray(t, np.float64) for t in (x.attributes, x.behaviors, x.behavior_mask))
    p = residual(attention_pooling(layer.pool_a, a3, np.ones((5, N_A), bool)), layer.e1, linear=False)
    q = residual(attention_pooling(layer.pool_v, v3, mask > 0), layer.e2, linear=False)
    codes = np.concatenate([p, q])
    two_sigma_squared = np.mean([((i - j) ** 2).sum() for i in codes for j in codes])

    def kernel(s: np.ndarray, t: np.ndarray) -> float:
        return float(np.mean([[np.exp(-((i - j) ** 2).sum() / two_sigma_squared) for j in t] for i in s]))

    losses = layer.zero_shot_losses(x)
    assert float(losses["L_d"]) == pytest.approx(kernel(p, p) + kernel(q, q) - 2 * kernel(p, q), abs=1e-6)


def test_typical_steps_are_those_that_most_histories_fill() -> None:
    layer, x = tower(steps="typical"), some_features(4)
    full, total, _ = layer.generate(x.attributes)
    np.testing.assert_allclose(total, full.numpy().sum(axis=1), atol=1e-5)
    # The first steps are rarely filled; the last one always counts.
    layer.filled.assign([0.2] * (N_V - 2) + [0.7, 0.1])
    completed = layer.complete(x._replace(is_new=tf.constant([True, False, False, True])))
    np.testing.assert_array_equal(completed.behaviors[0, :-2], 0)
    np.testing.assert_array_equal(completed.behaviors[0, -2:], full[0, -2:])
    assert completed.behavior_mask.numpy()[0].tolist() == [False] * (N_V - 2) + [True, True]
    np.testing.assert_array_equal(completed.behavior_mask[1], x.behavior_mask[1])


def test_filled_steps_are_counted_while_training_alone() -> None:
    layer, x = tower(steps="typical"), some_features(5)
    layer.zero_shot_losses(x)
    np.testing.assert_array_equal(layer.filled, np.ones(N_V))
    layer.zero_shot_losses(x, training=True)
    expected = 0.99 + 0.01 * np.asarray(x.behavior_mask, float).mean(axis=0)
    np.testing.assert_allclose(layer.filled, expected, rtol=1e-6)
    layer.zero_shot_losses(x.rows(tf.zeros(0, tf.int32)), training=True)
    np.testing.assert_allclose(layer.filled, expected, rtol=1e-6)


def test_the_last_steps_count_as_many_as_are_predicted() -> None:
    layer, x = tower(), some_features(5, new=[0, 2])
    # n̂ = 4 σ(0) = 2 for everybody.
    layer.length.share.set_weights([np.zeros((4, 1)), np.zeros(1)])
    completed = layer.complete(x)
    for row in (0, 2):
        assert completed.behavior_mask.numpy()[row].tolist() == [False, False, True, True]
        v_hat, total, _ = (tensor.numpy()[row] for tensor in layer.generate(x.attributes))
        np.testing.assert_array_equal(completed.behaviors[row], [[0, 0], [0, 0], v_hat[2], v_hat[3]])
        # D2 reconstructs padding, too: the sum is over all n_v.
        np.testing.assert_allclose(completed.behavior_sum[row], v_hat.sum(axis=0), atol=1e-6)
        np.testing.assert_allclose(total, v_hat.sum(axis=0), atol=1e-6)
    np.testing.assert_array_equal(completed.behavior_mask[1], x.behavior_mask[1])


def test_the_length_is_learned_from_the_code_and_changes_nothing_else() -> None:
    layer, x = tower(), some_features(4)
    p = residual(
        attention_pooling(layer.pool_a, np.asarray(x.attributes, np.float64), np.ones((4, N_A), bool)), layer.e1, False
    )
    weight, bias = layer_weights(layer.length)
    share = 1 / (1 + np.exp(-(p @ weight + bias)))[:, 0]
    # The histories have 4, 3, 2 and 1 of 4 steps.
    expected = np.mean((share - np.array([1, 0.75, 0.5, 0.25])) ** 2)
    with tf.GradientTape() as tape:
        loss = layer.zero_shot_losses(x)["L_n"]
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    moved = [
        v.path
        for v, g in zip(layer.trainable_variables, tape.gradient(loss, layer.trainable_variables), strict=True)
        if g is not None
    ]
    assert len(moved) == 2
    assert all("history_length" in path for path in moved)


def test_variant_none_has_the_mean_length_of_old_users() -> None:
    layer, x = tower("none"), some_features(5, new=[0])
    assert layer.complete(x).behavior_mask.numpy()[0].all()
    # The other histories have 3, 2, 1 and 4 steps: 2.5 on average, rounded to even.
    layer.complete(x, training=True)
    assert layer.complete(x).behavior_mask.numpy()[0].tolist() == [False, False, True, True]
    assert layer.mean_length.counts.numpy().tolist() == [10, 4]


def test_invented_steps_have_the_mean_action() -> None:
    layer, x = tower(steps="predicted"), some_features(5, new=[0])
    layer.length.share.set_weights([np.zeros((4, 1)), np.zeros(1)])
    # The last row of the table of actions.
    assert layer.complete(x).action_ids.numpy()[0].tolist() == [0, 0, 3, 3]
    np.testing.assert_array_equal(layer.complete(x).action_ids[1:], x.action_ids[1:])


@pytest.mark.parametrize("part", ["e1", "e2", "d1", "d2"])
def test_each_part_drops_while_the_tower_is_trained(part: str) -> None:
    layer, x = tower(), some_features(5)
    for other in {"e1", "e2", "d1", "d2"} - {part}:
        for dropout in getattr(layer, other).dropout:
            dropout.rate = 0.0

    def total(training: bool) -> float:
        losses = layer.zero_shot_losses(x, training=training)
        return float(losses["L_a"]) + float(losses["L_v"])

    assert total(training=True) != total(training=True)
    assert total(training=False) == total(training=False)
