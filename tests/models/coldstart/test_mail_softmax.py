"""MAIL, softmax: its numbers against slow sums over users and values, and what its networks learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from mailcli.errors import MailError
from mailcli.models.coldstart import _behavior_network, mail_softmax
from mailcli.models.coldstart._behavior_network import BehaviorNetwork, Histories, Popularity, train
from mailcli.models.contracts import SeenBehaviors, TrainingRows, user_folds
from mailcli.models.features import Spec
from tests.helpers.features import no_teacher, some_features, spec
from tests.helpers.training_rows import BEHAVIORS, TARGET, small_rows, small_spec


def method(**options: Any) -> mail_softmax.ColdStart:
    made = mail_softmax.ColdStart(**{"units": (), "epochs": 2, "folds": 2, **options})
    made.build_for(small_spec())
    return made


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_a_network_sums_a_row_per_value_and_goes_on_with_dense_layers() -> None:
    network = BehaviorNetwork([3, 4], 5, (2,), 0.5, rng(7))
    network.build()
    kernel, bias = network.kernel.numpy(), np.array([0.5, -3.0], np.float32)
    network.bias.assign(bias)
    out, out_bias = network.dense[0].kernel.numpy(), np.arange(5, dtype=np.float32)
    network.start_from(out_bias)
    # Rows 0 to 2 are of the first column, 3 to 6 of the second; 0 is no value.
    h = np.stack([kernel[2] + kernel[4], kernel[6]]) + bias
    h = np.where(h > 0, h, 0.2 * h)
    np.testing.assert_allclose(network(np.array([[2, 1], [0, 3]])), h @ out + out_bias, rtol=1e-5, atol=1e-6)


def test_popularity_counts_every_value_once_more() -> None:
    counts = sparse.csr_array(np.array([[0, 1, 1], [0, 2, 0]], np.float32))
    popularity = Popularity.among(Histories(np.array([[2], [3]]), counts))
    np.testing.assert_allclose(popularity.log_probability, np.log([1 / 7, 4 / 7, 2 / 7]), rtol=1e-6)
    np.testing.assert_array_equal(popularity.has_behavior, [0, 1, 1])


def test_a_network_begins_with_popularity_and_learns_what_attributes_tell() -> None:
    # Users with attribute value 2 do only 2, those with value 3 only 3; so log P(y | a) tends to 0, and popularity is 1/2.
    keys = np.repeat([[2], [3]], 100, axis=0)
    counts = sparse.csr_array(np.eye(4, dtype=np.float32)[keys[:, 0]])
    network = BehaviorNetwork([4], 4, (), 0.0, rng(0))
    network.build()
    network.kernel.assign(tf.zeros_like(network.kernel))
    assert train(network, Histories(keys, counts), 1, rng(0)) == 1
    ((start, first),) = network.log_probabilities(np.array([[2], [3]]))
    assert start == 0
    # One step of Adam moves every weight by .001, the bias of both values up: half of the users do each, 101 / 204 of
    # what popularity counts.
    moved = [[-0.002, -0.002, 0.002, 0.0], [-0.002, -0.002, 0.0, 0.002]]
    np.testing.assert_allclose(first, log_softmax(np.log([1, 1, 101, 101]) + np.array(moved)), atol=1e-5)
    train(network, Histories(keys, counts), 3000, rng(0))
    ((_, last),) = network.log_probabilities(np.array([[2], [3]]))
    assert last.numpy()[0, 2] > math.log(0.9)
    assert last.numpy()[1, 3] > math.log(0.9)


def test_a_network_keeps_the_epoch_that_tells_most_of_held_out_users() -> None:
    # What users do here is the opposite of what the held-out ones do: the longer it learns, the worse.
    keys = np.repeat([[2], [3]], 50, axis=0)
    own = Histories(keys, sparse.csr_array(np.eye(4, dtype=np.float32)[keys[:, 0]]))
    opposite = Histories(keys, sparse.csr_array(np.eye(4, dtype=np.float32)[5 - keys[:, 0]]))
    kept, once = (BehaviorNetwork([4], 4, (), 0.0, rng(0)) for _ in range(2))
    for network in (kept, once):
        network.build()
    assert train(kept, own, 30, rng(0), opposite) == 1
    train(once, own, 1, rng(0))
    for a, b in zip(kept.weights, once.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_impressions_are_scored_by_the_network_of_their_users_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[BehaviorNetwork] = []

    def remembering(network: BehaviorNetwork, *arguments: Any, **options: Any) -> int:
        seen.append(network)
        return train(network, *arguments, **options)

    monkeypatch.setattr(mail_softmax, "train", remembering)
    made, rows = method(), small_rows()
    prepared = made.prepare(rows)
    assert len(seen) == 3
    fold = user_folds(np.arange(5), 2, rows.seed)
    for user, item, score in zip(rows.users, rows.items, prepared, strict=True):
        network, target = seen[fold[user]], TARGET[item, 1]
        # Popularity, too, is that among the users of the other fold.
        counts = np.bincount(BEHAVIORS[fold[BEHAVIORS[:, 0]] != fold[user], 1], minlength=5)
        popularity = np.log((counts + 1) / (counts + 1).sum())
        if not counts[target]:
            assert score == 0
            continue
        sex, age = rows.attributes[user, 1:]
        logits = network.kernel.numpy()[sex] + network.kernel.numpy()[4 + age] + network.bias.numpy()
        assert score == pytest.approx(log_softmax(logits[None])[0, target] - popularity[target], abs=1e-5)
    # The last one has learned from all, and is kept.
    np.testing.assert_array_equal(made.network.kernel, seen[2].kernel)


def test_a_folds_network_knows_no_behavior_of_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    learned_from: list[np.ndarray] = []

    def remembering(
        network: BehaviorNetwork,
        users: Histories,
        epochs: int,
        rng: np.random.Generator,
        held_out: Histories | None = None,
        title: str = "",
    ) -> int:
        learned_from.append(users.keys)
        return train(network, users, epochs, rng, held_out, title)

    monkeypatch.setattr(mail_softmax, "train", remembering)
    rows = small_rows()
    method().prepare(rows)
    fold, keys = user_folds(np.arange(5), 2, 0), rows.attributes[:, 1:]
    for number, expected in enumerate((keys[fold != 0], keys[fold != 1], keys)):
        np.testing.assert_array_equal(learned_from[number], expected)


def test_the_progress_of_every_network_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[Any]] = []

    @contextmanager
    def display(title: str, total: float, unit: str) -> Iterator[Callable[[float], None]]:
        shown.append([title, total, unit, 0])

        def advance(amount: float) -> None:
            shown[-1][3] += amount

        yield advance

    monkeypatch.setattr(_behavior_network, "progress", display)
    method(epochs=1).prepare(small_rows())
    # Users 0 to 3 have behavior.
    fold = user_folds(np.arange(5), 2, 0)[:4]
    others = [int((fold != number).sum()) for number in (0, 1)]
    assert shown == [
        ["behavior network 1 of 3", others[0], "users", others[0]],
        ["behavior network 2 of 3", others[1], "users", others[1]],
        ["behavior network 3 of 3", 4, "users", 4],
    ]


def test_the_ratio_is_added_to_the_logit() -> None:
    made = mail_softmax.ColdStart(units=(), epochs=1, folds=2)
    made.build_for(spec())
    features = some_features(3, new=[1])
    features = features._replace(
        target_id=tf.constant([3, 4, 4]),
        table_rows=tf.constant([[2, 7, 12, 0, 0], [3, 7, 12, 0, 0], [4, 8, 13, 0, 0]]),
        prepared=tf.constant([np.nan, np.nan, 0.75]),
    )
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=made.network.kernel.shape).astype(np.float32)
    made.network.kernel.assign(kernel)
    base = np.linspace(-3, -1, made.values).astype(np.float32)
    made.log_popularity.assign(base)
    made.has_behavior.assign(np.arange(made.values) != 4)
    # x1 and x2 begin at the rows 5 and 10 of the table: both are 2 here.
    logits = kernel[2] + kernel[made.sizes[0] + 2]
    # Value 4 has no behavior.
    expected = [log_softmax(logits[None].astype(np.float64))[0, 3] - base[3], 0, 0.75]
    completed = made.complete(features)
    np.testing.assert_allclose(completed.prepared, expected, rtol=1e-5)
    made.intercept.assign(-1.0)
    made.gamma.assign(3.0)
    made.gain.assign(0.1)
    output = made.logits(lambda _, training: tf.constant([5.0, 6.0, 7.0]), completed)
    # 10 · 0.1 is ρ.
    np.testing.assert_allclose(output, -1 + 3 * np.array(expected) + [5, 6, 7], rtol=1e-5)
    # Without what is predicted, as an audit asks.
    without = made.logits(lambda _, training: tf.zeros(3), features)
    np.testing.assert_allclose(without, [-1, -1, -1 + 3 * 0.75], rtol=1e-5)


def test_clicks_that_follow_behavior_set_gamma() -> None:
    # Users whose x is 2 turn to the categories 2 and 3 and click on them; the others, to 4 and 5.
    rng = np.random.default_rng(0)
    attributes = np.column_stack([np.arange(2, 302), rng.integers(2, 4, 300), np.full(300, 2)]).astype(np.int32)
    taste = attributes[:, 1] == 2
    user = np.repeat(np.arange(300), 6)
    ids = np.where(taste[user], 2, 4) + rng.integers(0, 2, len(user))
    target = np.column_stack([np.arange(2, 6), np.arange(2, 6)]).astype(np.int32)
    shown, item = rng.integers(0, 300, 4000), rng.integers(0, 4, 4000)
    likes = taste[shown] == (item < 2)
    click = (rng.random(4000) < np.where(likes, 0.3, 0.1)).astype(np.float32)
    made = mail_softmax.ColdStart(units=(8,), dropout=0.0, epochs=600, folds=2)
    small = small_spec()
    sizes = {"user": 302, "sex": 4, "age": 4, "hour": 4, "item": 6, "cate": 6}
    made.build_for(Spec(small.schema, sizes, 330, 4, 2))
    rows = TrainingRows(
        shown, item, click, attributes, target, 0, no_teacher, lambda: SeenBehaviors(user, ids, np.array([], np.int64))
    )
    prepared = made.prepare(rows)
    assert prepared[likes].min() > prepared[~likes].max()
    regression = LogisticRegression().fit(prepared[:, None], click)
    assert float(made.gamma.numpy()) == pytest.approx(regression.coef_[0, 0], rel=1e-4)
    assert float(made.intercept.numpy()) == pytest.approx(regression.intercept_[0], rel=1e-4)
    assert made.gamma.numpy() > 0.1


def test_networks_that_know_popularity_alone_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise s would say what the users of the fold themselves have done, which that of a new user cannot.
    def learn_popularity(network: BehaviorNetwork, users: Histories, *_: Any) -> int:
        counts = users.counts.toarray().sum(axis=0)
        network.kernel.assign(tf.zeros_like(network.kernel))
        network.start_from(np.log((counts + 1) / (counts + 1).sum()))
        return 1

    monkeypatch.setattr(mail_softmax, "train", learn_popularity)
    made = method()
    np.testing.assert_allclose(made.prepare(small_rows()), 0, atol=1e-6)
    assert made.gamma.numpy() == pytest.approx(0, abs=1e-6)


def test_gamma_and_the_weight_of_the_residual_are_trained_alone() -> None:
    made = method(units=(4,))
    made.prepare(small_rows())
    assert [variable.name for variable in made.trainable_variables] == ["gamma", "gain"]


def test_the_networks_of_a_seed_are_the_same() -> None:
    made, again, other = method(units=(4,)), method(units=(4,)), method(units=(4,))
    scores = made.prepare(small_rows())
    np.testing.assert_array_equal(scores, again.prepare(small_rows()))
    assert not np.array_equal(scores, other.prepare(small_rows(seed=1)))


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(MailError) as raised:
        method().prepare(small_rows(clicks=np.ones(60, np.float32)))
    assert raised.value.message == (
        "cold-start method 'mail-softmax': 60 of the 60 training impressions are clicks, so there is nothing to fit. "
        "Expected some with and some without a click."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": (8, 0)}, "`units` should be widths of 1 or more. Received: (8, 0)"),
        ({"dropout": 1.0}, "`dropout` should be at least 0 and below 1. Received: 1.0"),
        ({"epochs": 0}, "`epochs` should be 1 or more. Received: 0"),
        ({"folds": 1}, "`folds` should be 2 or more. Received: 1"),
    ],
)
def test_impossible_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        mail_softmax.ColdStart(**options)
    assert str(raised.value) == message


def test_too_many_values_are_refused() -> None:
    small = small_spec()
    sizes = {**small.vocabulary_sizes, "cate": 100_001}
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        mail_softmax.ColdStart().build_for(small._replace(vocabulary_sizes=sizes))
    assert str(raised.value) == ("needs a first field of behaviors with at most 100,000 values. 'cate' has 100,001")
