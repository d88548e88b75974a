"""Match: its numbers against slow sums over users and behaviors, and what it learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.data.schema import Field, Schema
from mailcli.errors import MailError
from mailcli.models.coldstart import match
from mailcli.models.contracts import SeenBehaviors, TrainingRows
from mailcli.models.features import Spec
from tests.helpers.features import no_teacher, some_features, spec
from tests.helpers.training_rows import ATTRIBUTES, BEHAVIORS, TARGET, small_rows, small_spec

DIM = 2


def method(**options: Any) -> match.ColdStart:
    made = match.ColdStart(**{"dim": DIM, "references": 8, "steps": 5, **options})
    made.build_for(small_spec())
    return made


def predicted_by_hand(made: match.ColdStart, user: int, behaviors: np.ndarray = BEHAVIORS) -> np.ndarray:
    """ŷ of a user by the behaviors of all others, one at a time."""
    vectors, weights = made.vectors.numpy().astype(np.float64), made.field_weights.numpy()
    total, count = np.zeros(DIM), float(made.regression_prior_weight.numpy())
    for other, value in behaviors:
        if other != user:
            different = ATTRIBUTES[user, 1:] != ATTRIBUTES[other, 1:]
            common = math.exp(-float((weights * different).sum()))
            total, count = total + common * vectors[value], count + common
    return total / count


def test_vectors_have_mean_zero_over_all_behaviors() -> None:
    made = method()
    made.prepare(small_rows())
    vectors = made.vectors.numpy()
    np.testing.assert_allclose(vectors[BEHAVIORS[:, 1]].mean(axis=0), 0, atol=1e-6)
    assert not vectors[:2].any()


def test_a_training_impression_has_the_match_that_other_users_predict() -> None:
    made, rows = method(), small_rows()
    prepared = made.prepare(rows)
    vectors, scale = made.vectors.numpy(), float(made.scale.numpy())
    expected = [
        predicted_by_hand(made, user) @ vectors[TARGET[item, 1]] / scale
        for user, item in zip(rows.users, rows.items, strict=True)
    ]
    np.testing.assert_allclose(prepared, expected, rtol=1e-4, atol=1e-6)


def test_the_weight_of_predicted_behavior_is_that_of_the_variances() -> None:
    made = method()
    made.prepare(small_rows())
    vectors = made.vectors.numpy().astype(np.float64)
    squares, errors, steps, means = 0.0, [], 0, {}
    for user in range(4):
        own = vectors[BEHAVIORS[BEHAVIORS[:, 0] == user, 1]]
        means[user] = own.mean(axis=0)
        squares += ((own - means[user]) ** 2).sum()
        steps += len(own) - 1
    for user in range(4):
        error = ((means[user] - predicted_by_hand(made, user)) ** 2).sum()
        errors.append(error - squares / steps / np.count_nonzero(BEHAVIORS[:, 0] == user))
    expected = squares / steps / np.mean(errors)
    assert float(made.history_prior_weight.numpy()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("left_out", [[], [4], [1, 4]])
def test_the_scale_is_the_deviation_of_the_matches_of_users_whose_behavior_is_known(left_out: list[int]) -> None:
    behaviors = BEHAVIORS[~np.isin(BEHAVIORS[:, 0], left_out)]
    seen = SeenBehaviors(behaviors[:, 0], behaviors[:, 1], np.array(left_out, np.int64))
    made, rows = method(), small_rows(behaviors=lambda: seen)
    made.prepare(rows)
    vectors, prior = made.vectors.numpy().astype(np.float64), float(made.history_prior_weight.numpy())
    matches = []
    for user, item in zip(rows.users, rows.items, strict=True):
        if user not in left_out:
            own = vectors[behaviors[behaviors[:, 0] == user, 1]]
            taste = (own.sum(axis=0) + prior * predicted_by_hand(made, user, behaviors)) / (len(own) + prior)
            matches.append(taste @ vectors[TARGET[item, 1]])
    assert float(made.scale.numpy()) == pytest.approx(np.std(matches), rel=1e-4)


def test_real_and_predicted_behavior_are_weighed_by_how_much_there_is() -> None:
    made = match.ColdStart(dim=1, references=2, steps=0)
    made.build_for(spec())
    features = some_features(3, new=[1])
    step_ids = np.array([[0, 0, 3, 4], [0, 0, 0, 0], [0, 0, 0, 3]], np.int32)
    features = features._replace(
        step_ids=tf.constant(step_ids),
        behavior_mask=tf.constant(step_ids > 0),
        target_id=tf.constant([3, 4, 4]),
        # Users 0 and 1 have the same attributes x1 and x2, which user 2 has not.
        table_rows=tf.constant([[2, 7, 12, 0, 0], [3, 7, 12, 0, 0], [4, 8, 13, 0, 0]]),
        prepared=tf.constant([np.nan, np.nan, 0.75]),
    )
    made.vectors.assign([[0.0], [0.0], [0.0], [2.0], [-1.0], [0.0], [0.0]])
    made.keys.assign([[2, 2], [3, 2]])
    made.sums.assign([[6.0], [-4.0]])
    made.counts.assign([3.0, 1.0])
    made.field_weights.assign([math.log(2), 1.0])
    made.regression_prior_weight.assign(0.5)
    made.history_prior_weight.assign(2.0)
    made.scale.assign(4.0)
    # ŷ of users 0 and 1: the first reference has both attributes, the second one of them: K = 1 and 1/2.
    predicted = (6 - 4 / 2) / (3 + 1 / 2 + 0.5)
    expected = [
        ((2 - 1 + 2 * predicted) * 2 / 4) / (2 + 2),
        (2 * predicted * -1 / 4) / 2,
        (2 * -1 / 4 + 2 * 0.75) / (1 + 2),
    ]
    completed = made.complete(features)
    np.testing.assert_allclose(made.match(completed), expected, rtol=1e-5)
    # Without what is predicted, as an audit asks.
    np.testing.assert_allclose(made.match(features)[:2], [(2 - 1) * 2 / 4 / (2 + 2), 0], rtol=1e-5)
    made.intercept.assign(-1.0)
    made.gamma.assign(3.0)
    made.gain.assign(0.1)
    logits = made.logits(lambda _, training: tf.constant([5.0, 6.0, 7.0]), completed)
    # 10 · 0.1 is ρ.
    np.testing.assert_allclose(logits, -1 + 3 * np.array(expected) + [5, 6, 7], rtol=1e-5)
    both = made.logits(lambda _, training: {"click": tf.zeros(3), "conversion": tf.ones(3)}, completed)
    np.testing.assert_allclose(both["click"], -1 + 3 * np.array(expected), rtol=1e-5)
    assert both["conversion"].numpy().tolist() == [1, 1, 1]


def test_what_combinations_of_attributes_predict_is_found() -> None:
    # Users whose attributes agree turn to the categories 2 and 3 and click on them; the others, to 4 and 5.
    rng = np.random.default_rng(0)
    attributes = np.column_stack([np.arange(2, 302), rng.integers(2, 4, 300), rng.integers(2, 4, 300)]).astype(np.int32)
    taste = attributes[:, 1] == attributes[:, 2]
    user = np.repeat(np.arange(300), 6)
    ids = np.where(taste[user], 2, 4) + rng.integers(0, 2, len(user))
    target = np.column_stack([np.arange(2, 6), np.arange(2, 6)]).astype(np.int32)
    shown, item = rng.integers(0, 300, 4000), rng.integers(0, 4, 4000)
    likes = taste[shown] == (item < 2)
    made = match.ColdStart(dim=3, references=200, steps=100)
    fields = [Field(name, "attributes", name) for name in ("user", "x", "y")]
    fields += [Field("hour", "context", "hour"), Field("item", "target", "item"), Field("cate", "target", "cate")]
    fields += [Field("cate", "behavior", "cate")]
    sizes = {"user": 302, "x": 4, "y": 4, "hour": 4, "item": 6, "cate": 6}
    made.build_for(Spec(Schema(tuple(fields), ("pv",)), sizes, 330, 4, 2))
    click = (rng.random(4000) < np.where(likes, 0.3, 0.1)).astype(np.float32)
    rows = TrainingRows(
        shown, item, click, attributes, target, 0, no_teacher, lambda: SeenBehaviors(user, ids, np.array([], np.int64))
    )
    prepared = made.prepare(rows)
    assert prepared[likes].min() > prepared[~likes].max()
    # Two values of s, with the logits of 0.1 and 0.3.
    spread = prepared[likes].mean() - prepared[~likes].mean()
    assert float(made.gamma.numpy()) * spread == pytest.approx(math.log(0.3 / 0.7) - math.log(0.1 / 0.9), abs=0.2)


def test_gamma_and_the_weight_of_the_residual_are_trained_alone() -> None:
    made = method()
    made.prepare(small_rows())
    assert [variable.name for variable in made.trainable_variables] == ["gamma", "gain"]


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(MailError) as raised:
        method().prepare(small_rows(clicks=np.zeros(60, np.float32)))
    assert str(raised.value) == (
        "cold-start method 'match': 0 of the 60 training impressions are clicks, so there is nothing to fit. "
        "Expected some with and some without a click."
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dim": 0}, "`dim` should be 1 or more. Received: 0"),
        ({"references": 1}, "`references` should be 2 or more. Received: 1"),
        ({"steps": -1}, "`steps` should be 0 or more. Received: -1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        match.ColdStart(**options)


def test_attributes_are_needed() -> None:
    with pytest.raises(ValueError, match="needs user attributes other than the id, but the dataset has none"):
        match.ColdStart().build_for(spec(n_a=1))


def test_the_mean_of_many_behaviors_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors, ids = rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 5, 1000)
    monkeypatch.setattr(match, "BEHAVIORS_AT_ONCE", 7)
    np.testing.assert_array_equal(match._mean(vectors, ids), vectors[ids].mean(axis=0))


def test_a_match_that_speaks_against_clicks_has_no_weight() -> None:
    # Clicks do not change the match.
    matches = method().prepare(small_rows())
    made = method()
    clicks = (matches < np.quantile(matches, 0.25)).astype(np.float32)
    made.prepare(small_rows(clicks=clicks))
    assert float(made.gamma.numpy()) == 0
    # What is left is the click rate.
    rate = float(clicks.mean())
    assert float(made.intercept.numpy()) == pytest.approx(math.log(rate / (1 - rate)), rel=1e-5)


@pytest.mark.parametrize(
    ("within", "predicted", "kappa"), [(1.0, 0.0, 1 / 3.25), (1.0, 2.0, 1000.0), (0.0, 0.0, 0.001)]
)
def test_the_weight_of_the_prediction_by_hand(within: float, predicted: float, kappa: float) -> None:
    """Both means are (2, 0), of 1 and 2 behaviors: σ_b² = ((4 - 1) + (4 - 1/2)) / 2 = 3.25 where ŷ = 0.

    Where ŷ is right, σ_b² is negative; κ is kept from .001 to 1,000.
    """
    histories = match.HistoryMoments(np.array([[2.0, 0], [4, 0], [0, 0]]), np.array([1.0, 2, 0]), within)
    predictions = np.tile([predicted, 0.0], (3, 1))
    assert match.history_prior_weight(histories, predictions) == pytest.approx(kappa)
