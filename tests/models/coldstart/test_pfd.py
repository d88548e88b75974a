"""Privileged features distillation: whom the teacher teaches, and by which loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart import pfd
from mailcli.models.contracts import SeenBehaviors, TrainingRows
from tests.helpers.features import some_features, spec

NAN = math.nan
#: Impressions 0, 1 and 3 are taught.
TEACHER, LOGIT, CLICK = (0.0, math.log(3), NAN, -math.log(4)), (0.5, -1.0, 2.0, 0.0), (1.0, 0.0, 1.0, 0.0)


def method(**options: Any) -> pfd.ColdStart:
    made = pfd.ColdStart(**options)
    made.build_for(spec())
    return made


def loss(teacher: Any, logit: Any, click: Any, **options: Any) -> tf.Tensor:
    """L_pfd of a batch."""
    features = some_features(len(teacher))._replace(prepared=tf.constant(teacher, tf.float32))
    losses = method(**options).ranking_losses(features, tf.constant(click), tf.convert_to_tensor(logit))
    assert list(losses) == ["L_pfd"]
    return losses["L_pfd"]


def cross_entropy(q: float, logit: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -q * math.log(p) - (1 - q) * math.log(1 - p)


def test_pointwise_by_hand() -> None:
    # The teacher says 1/2, 3/4 and 1/5. λ (L_d - L_s) over the taught, divided by all four.
    distilled = cross_entropy(0.5, 0.5) + cross_entropy(0.75, -1.0) + cross_entropy(0.2, 0.0)
    labels = cross_entropy(1, 0.5) + cross_entropy(0, -1.0) + cross_entropy(0, 0.0)
    expected = 0.3 * (distilled - labels) / 4
    assert float(loss(TEACHER, LOGIT, CLICK, strength=0.3)) == pytest.approx(expected, rel=1e-5)


def test_listwise_by_hand() -> None:
    teacher = {0: 0.5, 1: 0.75, 3: 0.2}
    student = {i: 1 / (1 + math.exp(-LOGIT[i])) for i in teacher}
    of_list = -sum(t / sum(teacher.values()) * math.log(student[i] / sum(student.values())) for i, t in teacher.items())
    labels = sum(cross_entropy(CLICK[i], LOGIT[i]) for i in teacher) / 3
    # Three of the four impressions are taught.
    expected = 0.3 * (of_list - labels) * 3 / 4
    assert float(loss(TEACHER, LOGIT, CLICK, strength=0.3, loss="listwise")) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["pointwise", "listwise"])
def test_with_full_strength_the_teachers_probabilities_are_the_minimum(name: str) -> None:
    """So either loss keeps probabilities calibrated; a softmax of logits would be left as it is by any shift."""
    teacher = tf.constant([0.3, -1.2, 2.0, 0.1])
    with tf.GradientTape() as tape:
        tape.watch(teacher)
        # The label's loss is taken away; what is left of it cancels against the click loss, which is added.
        click = tf.constant([1.0, 0.0, 1.0, 0.0])
        total = loss(teacher.numpy(), teacher, click, strength=1.0, loss=name) + tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(labels=click, logits=teacher)
        )
    np.testing.assert_allclose(tape.gradient(total, teacher), 0, atol=1e-7)


def test_probabilities_in_proportion_are_enough_for_the_list() -> None:
    probabilities = tf.constant([0.2, 0.4, 0.1])
    teacher, half = (tf.math.log(p / (1 - p)) for p in (probabilities, probabilities / 2))
    with tf.GradientTape() as tape:
        tape.watch(half)
        value = pfd.list_loss(teacher, half, tf.ones(3))
    np.testing.assert_allclose(tape.gradient(value, half), 0, atol=1e-7)


@pytest.mark.parametrize("name", ["pointwise", "listwise"])
def test_nobody_is_taught_without_a_teacher(name: str) -> None:
    logit = tf.constant([0.5, -1.0])
    with tf.GradientTape() as tape:
        tape.watch(logit)
        value = loss((NAN, NAN), logit, (1.0, 0.0), loss=name)
    assert float(value) == 0
    np.testing.assert_array_equal(tape.gradient(value, logit), [0, 0])


def test_only_masked_impressions_are_taught() -> None:
    rows = 4000
    steps = np.ones((rows, 3), np.int32)
    teacher = np.random.default_rng(0).normal(size=rows).astype(np.float32)
    teacher[:100] = NAN
    batch = {
        "attributes": tf.constant(np.stack([np.arange(2, rows + 2), np.full(rows, 3)], axis=1), tf.int32),
        "behaviors": tf.constant(steps[:, :, None]),
        "actions": tf.constant(steps),
        "click": tf.zeros(rows),
        "prepared": tf.constant(teacher),
    }
    masked = {name: value.numpy() for name, value in method(rate=0.3).mask_batch(batch).items()}
    hidden = masked["attributes"][:, 0] == 1
    assert hidden.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(~masked["actions"].any(axis=1), hidden)
    np.testing.assert_array_equal(masked["prepared"][hidden], teacher[hidden])
    assert np.isnan(masked["prepared"][~hidden]).all()


def test_it_asks_for_as_many_teachers_as_folds() -> None:
    asked: list[int] = []
    logits = np.zeros(2, np.float32)
    ids, none = np.zeros(2, np.int64), np.zeros((1, 1), np.int32)

    def teach(count: int) -> Any:
        asked.append(count)
        return logits

    rows = TrainingRows(ids, ids, logits, none, none, 0, teach, lambda: SeenBehaviors(ids, ids, ids))
    assert method(folds=3).prepare(rows) is logits
    assert asked == [3]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rate": 1.0}, "`rate` should be between 0 and 1. Received: 1.0"),
        ({"strength": 0.0}, "`strength` should be above 0 and at most 1. Received: 0.0"),
        ({"loss": "pairwise"}, "`loss` should be one of \\('pointwise', 'listwise'\\). Received: loss='pairwise'"),
        ({"folds": 1}, "`folds` should be 2 or more. Received: 1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        pfd.ColdStart(**options)
