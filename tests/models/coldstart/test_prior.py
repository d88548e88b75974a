"""The prior: its numbers against a slow count, what it may know of a training impression, and where a model begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.data.schema import Field, Schema
from mailcli.errors import MailError
from mailcli.models.batch_spec import to_tensors
from mailcli.models.coldstart import prior
from mailcli.models.coldstart._residual import stacked_regression
from mailcli.models.contracts import TrainingRows, user_folds
from mailcli.models.factory import make_model
from mailcli.models.features import Spec
from mailcli.models.two_tower import TwoTower
from mailcli.training.preparation import training_rows
from mailcli.trivial import attribute_category
from tests.helpers.features import no_teacher, spec
from tests.helpers.models import SHAPE

#: Ids from 2 on: users with one attribute, of two values, and items with an id and up to two genres.
ATTRIBUTES = np.array([[2, 2], [3, 2], [4, 3], [5, 3], [6, 1]], np.int32)
TARGET = np.array([[2, 2, 0], [3, 2, 3], [4, 3, 0], [5, 1, 0], [6, 2, 0], [7, 3, 2]], np.int32)


def no_behaviors() -> Any:
    pytest.fail("behaviors were asked for")


def small_spec() -> Spec:
    fields = [Field("user", "attributes", "user"), Field("sex", "attributes", "sex"), Field("hour", "context", "hour")]
    fields += [Field("item", "target", "item"), Field("genre", "target", "genre", 2), Field("item", "behavior", "item")]
    return Spec(Schema(tuple(fields), ("pv",)), {"user": 7, "sex": 4, "hour": 4, "item": 8, "genre": 4}, 30, 4, 2)


def small_rows(impressions: int = 80, seed: int = 0) -> TrainingRows:
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 5, impressions), rng.integers(0, 6, impressions)
    rate = 0.2 + 0.1 * item + 0.1 * (user % 2)
    click = (rng.random(impressions) < rate).astype(np.float32)
    return TrainingRows(user, item, click, ATTRIBUTES, TARGET, seed, teach=no_teacher, behaviors=no_behaviors)


def method(**options: Any) -> prior.ColdStart:
    made = prior.ColdStart(**options)
    made.build_for(small_spec())
    return made


def shrunk(values: list[float], zeros: int) -> float:
    return sum(values) / (len(values) + zeros)


def counted(rows: TrainingRows, learned: list[int], asked: list[int]) -> list[tuple[float, float]]:
    """The item's bias, and the mean over pairs of sex and genre of what is left: one impression at a time."""
    click = {i: float(rows.clicks[i]) for i in learned}
    mean = sum(click.values()) / len(click)
    item_bias, user_bias = dict.fromkeys(range(6), 0.0), dict.fromkeys(range(5), 0.0)
    for _ in range(20):
        for item in range(6):
            of_item = [click[i] - mean - user_bias[rows.users[i]] for i in learned if rows.items[i] == item]
            item_bias[item] = shrunk(of_item, 3)
        for user in range(5):
            of_user = [click[i] - mean - item_bias[rows.items[i]] for i in learned if rows.users[i] == user]
            user_bias[user] = shrunk(of_user, 3)

    def pairs(i: int) -> list[tuple[int, int]]:
        sex = ATTRIBUTES[rows.users[i], 1]
        return [(sex, genre) for genre in TARGET[rows.items[i], 1:] if sex >= 2 and genre >= 2]

    left_of: dict[tuple[int, int], list[float]] = {}
    for i in learned:
        for pair in pairs(i):
            left = click[i] - mean - user_bias[rows.users[i]] - item_bias[rows.items[i]]
            left_of.setdefault(pair, []).append(left)
    means = {pair: shrunk(left, 100) for pair, left in left_of.items()}
    of_pairs = [[means.get(pair, 0.0) for pair in pairs(i)] for i in asked]
    return [(item_bias[rows.items[i]], sum(x) / len(x) if x else 0.0) for i, x in zip(asked, of_pairs, strict=True)]


def test_the_statistics_are_those_of_a_slow_count() -> None:
    rows = small_rows()
    learned = np.arange(80) % 3 > 0
    values = method()._fit(rows, learned).values(rows, ~learned)
    expected = counted(rows, np.flatnonzero(learned).tolist(), np.flatnonzero(~learned).tolist())
    np.testing.assert_allclose(values, expected, atol=1e-12)
    # Users without a known sex and items without a genre have no pair.
    assert (values[(rows.users == 4)[~learned], 1] == 0).all()


def test_a_training_impression_is_told_by_the_users_of_the_other_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, regression = small_rows(), stacked_regression
    seen: list[Any] = []

    def seeing(values: Any, click: Any) -> Any:
        seen.append(values)
        return regression(values, click)

    monkeypatch.setattr(prior, "stacked_regression", seeing)
    prepared = method(folds=2).prepare(rows)
    fold = user_folds(rows.users, 2, rows.seed)
    for number in range(2):
        others, own = np.flatnonzero(fold != number).tolist(), np.flatnonzero(fold == number).tolist()
        np.testing.assert_allclose(seen[0][own], counted(rows, others, own), atol=1e-12)
    # One intercept and two weights of all impressions make it a logit.
    intercept, weights = regression(seen[0], rows.clicks)
    np.testing.assert_allclose(prepared, intercept + seen[0] @ weights, rtol=1e-6)
    # So nothing that one's own user has clicked reaches it but by these three numbers.
    own = rows.users == rows.users[0]
    method(folds=2).prepare(rows._replace(clicks=np.where(own, 1 - rows.clicks, rows.clicks)))
    np.testing.assert_array_equal(seen[1][own], seen[0][own])
    assert (seen[1][~own] != seen[0][~own]).any()


def test_all_of_a_users_impressions_are_in_one_fold_and_folds_are_even() -> None:
    user = np.random.default_rng(0).integers(0, 50, 400)
    fold = user_folds(user, 4, seed=1)
    by_user = [set(fold[user == u]) for u in range(50)]
    assert all(len(folds) == 1 for folds in by_user)
    assert sorted(np.bincount([folds.pop() for folds in by_user])) == [12, 12, 13, 13]
    np.testing.assert_array_equal(fold, user_folds(user, 4, seed=1))
    assert (fold != user_folds(user, 4, seed=2)).any()
    with pytest.raises(MailError, match="folds = 51: the training split has 50 users. Expected 50 or fewer."):
        user_folds(user, 51, seed=1)


def test_a_negative_weight_is_dropped() -> None:
    click = np.array([0, 0, 1, 1] * 50, np.float32)
    helps, harms = np.array([0, 1, 1, 2.0] * 50), np.array([1, 0, 0, 0.0] * 50)
    intercept, weights = stacked_regression(np.column_stack([helps, harms]), click)
    alone, (weight,) = stacked_regression(helps[:, None], click)
    assert weights[0] == weight > 0
    assert weights[1] == 0
    assert intercept == alone
    # Of nothing that helps, the click rate remains: log(.5 / .5) = 0.
    intercept, weights = stacked_regression(harms[:, None], click)
    assert (intercept, weights.tolist()) == (0, [0])


def prepared(dataset: Dataset, ranker: str = "base") -> tuple[TwoTower, Batches, View, RunConfig]:
    """A model with its prior, and its training batches."""
    config = make_config([{"data": dataset.name, "ranker": ranker, "cold_start": "prior", **SHAPE}])
    model, view = make_model(dataset, config), views(dataset, config)["train"]
    batches = Batches(dataset, view, config.history, config.batch_size)
    batches.prepared = model.cold_start.prepare(training_rows(dataset, view, config, no_teacher))
    return model, batches, view, config


@pytest.mark.parametrize("ranker", ["base", "esmm"])
def test_a_model_starts_from_the_prior(ranker: str, with_buys: Dataset) -> None:
    model, batches, view, config = prepared(with_buys, ranker)
    assert batches.prepared is not None
    first = np.asarray(model.probabilities(to_tensors(batches.gather(view.rows[:50]))))[:, 0]
    np.testing.assert_allclose(first, 1 / (1 + np.exp(-batches.prepared[:50])), atol=1e-6)
    # An impression of another split has no such number: its prior is that of the tables, from all users.
    rows = training_rows(with_buys, view, config, no_teacher)
    method: Any = model.cold_start
    fold = user_folds(rows.users, method.folds, config.seed)
    values = np.empty((len(fold), 2))
    for number in range(method.folds):
        values[fold == number] = method._fit(rows, fold != number).values(rows, fold == number)
    intercept, weights = stacked_regression(values, rows.clicks)
    everyone = np.ones(len(fold), bool)
    expected = (intercept + method._fit(rows, everyone).values(rows, everyone) @ weights)[:50]
    features = model.embedding(
        to_tensors(Batches(with_buys, view, config.history, config.batch_size).gather(view.rows[:50]))
    )
    logit = method.prior(features).numpy()
    np.testing.assert_allclose(logit, expected, rtol=1e-4, atol=1e-5)
    # Once the residual counts, so does the ranker.
    method.gain.assign(0.05)
    output = model.ranker(features)
    click = output["click"] if isinstance(output, dict) else output
    scores = model.probabilities_of(features)[:, 0]
    np.testing.assert_allclose(scores, tf.sigmoid(logit + 0.5 * click), atol=1e-6)


def test_it_is_that_of_the_trivial_row(tiny: Dataset) -> None:
    """Both count the same clicks; the row adds the bias of users who are not new."""
    model, _, view, config = prepared(tiny)
    rows = training_rows(tiny, view, config, no_teacher)
    method: Any = model.cold_start
    everyone = np.ones(len(rows.users), bool)
    row = attribute_category.TrivialRow()
    row.fit(tiny, view)
    nobody_known = view._replace(anonymous=np.ones_like(view.anonymous))
    np.testing.assert_allclose(
        method._fit(rows, everyone).values(rows, everyone).sum(axis=1), row.value(tiny, nobody_known), atol=1e-9
    )


def test_without_groups_there_is_no_table_of_pairs() -> None:
    assert not method(groups=False).pairs
    assert [tuple(table.shape) for table in method().pairs] == [(4, 4)]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (small_rows()._replace(clicks=np.ones(80, np.float32)), "80 of the 80 training impressions are clicks"),
        (small_rows()._replace(clicks=np.zeros(80, np.float32)), "0 of the 80 training impressions are clicks"),
    ],
)
def test_clicks_of_one_kind_are_refused(rows: TrainingRows, error: str) -> None:
    with pytest.raises(MailError, match=error):
        method().prepare(rows)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="`folds` should be 2 or more. Received: 1"):
        prior.ColdStart(folds=1)
    with pytest.raises(ValueError, match="needs the items' id as their field 'item', which the dataset lacks"):
        prior.ColdStart().build_for(spec())
    without = small_spec()
    fields = tuple(field for field in without.schema.fields if field.name != "genre")
    without = without._replace(schema=Schema(fields, ("pv",)))
    with pytest.raises(
        ValueError, match="`groups` needs an attribute and a category of the items with at most 1,000,000 combinations"
    ):
        prior.ColdStart().build_for(without)
    prior.ColdStart(groups=False).build_for(without)
