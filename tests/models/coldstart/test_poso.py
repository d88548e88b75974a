"""POSO's gates: what they read and what they scale."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import poso
from mailcli.models.features import Features
from mailcli.models.rankers import base, emblr
from tests.helpers.features import DIM, N_A, as_arrays, layer_weights, some_features, spec

#: What the gates scale, in their order, and how many numbers each is: a, v, c, t, the query; no dense features.
WIDTHS = {"attributes": N_A * DIM, "behavior_sum": DIM, "context": DIM, "target": DIM, "query": DIM}


def method(**options: Any) -> poso.ColdStart:
    made = poso.ColdStart(**{"units": 3, **options})
    made.build_for(spec())
    return made


def with_random_gates(made: poso.ColdStart) -> poso.ColdStart:
    rng = np.random.default_rng(4)
    for layer in (made.hidden, made.gate):
        layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return made


def gates_by_loops(made: poso.ColdStart, features: Features, attributes: bool = True) -> np.ndarray:
    """2 / (1 + exp(-(W2 max(0, W1 pc + b1) + b2))), impression by impression."""
    w1, b1 = layer_weights(made.hidden)
    w2, b2 = layer_weights(made.gate)
    rows = []
    for a, mask in zip(as_arrays(features)["attributes"], features.behavior_mask.numpy(), strict=True):
        # 0, 1, 2-3 and 4 behaviors, of at most 4.
        bucket = {0: 0, 1: 1, 2: 2, 3: 2, 4: 3}[int(mask.sum())]
        code = [float(bucket == index) for index in range(4)]
        for vector in a[1:] if attributes else ():
            code += list(vector / np.sqrt(sum(value * value for value in vector)))
        hidden = [max(0.0, float(np.dot(code, column)) + bias) for column, bias in zip(w1.T, b1, strict=True)]
        rows.append([2 / (1 + np.exp(-(np.dot(hidden, column) + bias))) for column, bias in zip(w2.T, b2, strict=True)])
    return np.array(rows)


def test_it_begins_with_the_features_as_they_are() -> None:
    features = some_features(6, new=[1, 4])
    completed = method().complete(features)
    for name, value in as_arrays(completed).items():
        np.testing.assert_array_equal(value, as_arrays(features)[name], err_msg=name)


def test_a_gate_worked_by_hand() -> None:
    """Only the second number of the target has a gate that depends on anything: 2 σ(ln 3) = 1.5 for new users."""
    made = method(units=1, attributes=False)
    made.hidden.set_weights([np.array([[1.0], [0], [0], [0]]), np.zeros(1)])
    before = sum(WIDTHS[name] for name in ("attributes", "behavior_sum", "context"))
    kernel = np.zeros((1, sum(WIDTHS.values())))
    kernel[0, before + 1] = np.log(3)
    made.gate.set_weights([kernel, np.zeros(kernel.shape[1])])
    features = some_features(3, new=[1])
    completed = made.complete(features)
    expected = features.target.numpy()
    expected[1, 0, 1] *= 1.5
    np.testing.assert_allclose(completed.target, expected, rtol=1e-6)
    np.testing.assert_array_equal(completed.attributes, features.attributes)
    np.testing.assert_array_equal(completed.behavior_sum, features.behavior_sum)
    np.testing.assert_array_equal(completed.query, features.query)


@pytest.mark.parametrize("attributes", [True, False])
def test_everything_is_scaled_as_loops_do_it(attributes: bool) -> None:
    features = some_features(8, new=[2, 5])
    made = with_random_gates(method(attributes=attributes))
    parts = np.split(gates_by_loops(made, features, attributes), np.cumsum(list(WIDTHS.values()))[:-1], axis=1)
    before, after = as_arrays(features), as_arrays(made.complete(features))
    for name, gate in zip(WIDTHS, parts, strict=True):
        np.testing.assert_allclose(after[name], before[name] * gate.reshape(before[name].shape), rtol=1e-5)
    by_step = before["behaviors"] * parts[1][:, None]
    np.testing.assert_allclose(after["behaviors"], by_step, rtol=1e-5)
    np.testing.assert_allclose(after["behavior_sum"], by_step.sum(axis=1), rtol=1e-4, atol=1e-6)
    for name in set(before) - {*WIDTHS, "behaviors"}:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)


def test_dense_features_have_gates_too() -> None:
    made = poso.ColdStart(units=3)
    made.build_for(spec(dense=("price", "age")))
    features = some_features(4, new=[0])._replace(dense=tf.constant(np.arange(8).reshape(4, 2), tf.float32))
    completed = with_random_gates(made).complete(features)
    np.testing.assert_allclose(completed.dense, features.dense * gates_by_loops(made, features)[:, -2:], rtol=1e-5)


def test_it_mixes_copies_of_a_linear_ranker_as_eq_7_does() -> None:
    """C Σ_i g_i W_i x, each W_i with the weight of one input of a linear ranker whose other weights are 0."""
    features = some_features(5, new=[1])
    made = with_random_gates(method())
    ranker = emblr.Ranker()
    ranker(features)
    kernel, bias = layer_weights(ranker.logit)
    x = as_arrays(features)
    groups = {"attributes": 0, "behavior_sum": 1, "context": 2, "target": 3}
    expected = np.full(5, bias[0])
    for row, gates in enumerate(gates_by_loops(made, features)):
        inputs = [(x[name][row].ravel(), block) for name, block in groups.items()]
        numbers = [(value, block * DIM + index % DIM) for values, block in inputs for index, value in enumerate(values)]
        for gate, (value, weight) in zip(gates, numbers, strict=False):
            expected[row] += gate * kernel[weight, 0] * value
    np.testing.assert_allclose(ranker(made.complete(features)), expected, rtol=1e-4, atol=1e-6)


def test_gates_read_no_id_and_train_no_embedding() -> None:
    features = some_features(6, new=[3])
    made = with_random_gates(method())
    other_ids = features._replace(
        attributes=tf.concat([features.attributes[:, :1] + 1, features.attributes[:, 1:]], axis=1)
    )
    np.testing.assert_array_equal(made.gates(features), made.gates(other_ids))
    with tf.GradientTape() as tape:
        tape.watch(features.attributes)
        gates = made.gates(features)
    assert tape.gradient(gates, features.attributes) is None


def test_a_dataset_without_attributes_but_the_id_has_gates() -> None:
    made = poso.ColdStart(units=3)
    made.build_for(spec(n_a=1))
    features = some_features(4, new=[1], n_a=1)
    assert made.complete(features).attributes.shape == (4, 1, DIM)


def test_the_gates_learn_what_counts_for_new_users() -> None:
    """Old users click by one number of the target, new ones by the other: no single linear ranker can do both."""
    features = some_features(400, new=list(range(0, 400, 2)))
    is_new, target = features.is_new.numpy(), features.target.numpy()[:, 0]
    clicks = np.where(is_new, target[:, 1], target[:, 0]) > 0

    def accuracy(gated: bool) -> float:
        ranker, made = emblr.Ranker(), method(units=8, attributes=False)
        ranker(features)
        # A gate would close on a weight that begins with the wrong sign.
        ranker.logit.kernel.assign(tf.zeros_like(ranker.logit.kernel))
        variables = [*ranker.trainable_variables, *(made.trainable_variables if gated else [])]
        optimizer = keras.optimizers.Adam(0.02)
        optimizer.build(variables)

        @tf.function
        def step() -> Any:
            with tf.GradientTape() as tape:
                logits = ranker(made.complete(features) if gated else features)
                labels = tf.constant(clicks, tf.float32)
                loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return logits

        for _ in range(150):
            logits = step()
        return float(np.mean((logits.numpy() > 0) == clicks))

    # Halfway between both rules, every user is at the angle of 45° from their own: right for 3 of 4.
    assert accuracy(gated=False) < 0.8
    assert accuracy(gated=True) > 0.95


@pytest.mark.parametrize(
    ("options", "masks"), [({}, True), ({"rate": 0.0}, False), ({"rate": 0, "prefix": True}, True)]
)
def test_masks_are_an_option(options: dict[str, Any], masks: bool) -> None:
    batch = {
        "attributes": tf.constant(np.full((200, N_A), 3, np.int32)),
        "behaviors": tf.constant(np.full((200, 4, 1), 2, np.int32)),
        "actions": tf.ones([200, 4], tf.int32),
        "click": tf.zeros(200),
    }
    masked = method(**options).mask_batch(batch)
    assert (masked is not batch) == masks
    if masks:
        assert 0 < np.mean(masked["actions"].numpy().any(axis=1)) < 1


def test_it_starts_and_scores_with_the_ranker_that_has_no_gates() -> None:
    features = some_features(5, new=[1])
    ranker = base.Ranker(units=(4,), dropout=0.0)
    np.testing.assert_array_equal(ranker(method().complete(features)), ranker(features))


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_bad_rates(rate: float) -> None:
    with pytest.raises(ValueError, match=f"`rate` should be at least 0 and below 1. Received: {rate}"):
        poso.ColdStart(rate=rate)


def test_bad_units() -> None:
    with pytest.raises(ValueError, match="`units` should be 1 or more. Received: 0"):
        poso.ColdStart(units=0)
