"""Scores and metrics of a view, against slow reference implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.metrics.bootstrap import DRAWS_SEED, draw_users
from mailcli.models.factory import make_model
from mailcli.training.evaluate import measure, measure_draws
from mailcli.training.scorer import Scorer
from tests.helpers import oracles


@pytest.fixture(scope="module")
def view(with_buys: Dataset) -> View:
    """The test split of `buys`, whose users have clicks and conversions; only a third of the users, for speed."""
    test = views(with_buys, make_config([{"data": "buys"}]))["test"]
    return test._replace(rows=test.rows[with_buys.column("test", "user") % 3 == 0])


def groups_of(dataset: Dataset, view: View) -> dict[str, list[bool]]:
    """Whether each impression is in each group, one by one."""
    groups: dict[str, list[bool]] = {"new": [], "old": [], "all": [], "natural": []}
    for row in view.rows:
        user = int(dataset.column(view.split, "user")[row])
        unseen = int(dataset.column(view.split, "history_end")[row]) == int(dataset.offsets[user])
        new = unseen or bool(view.new[user])
        for name, member in (("new", new), ("old", not new), ("all", True), ("natural", unseen)):
            groups[name].append(member)
    return groups


def test_a_draw_of_users_is_drawn_rows_of_every_group(with_buys: Dataset, view: View) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((len(view.rows), 2)).round(1).astype(np.float32)
    metrics = measure_draws(with_buys, view, scores, 3)
    user = with_buys.column("test", "user")[view.rows]
    users = sorted(set(user.tolist()))
    for name, members in groups_of(with_buys, view).items():
        rows = np.flatnonzero(members)
        if not len(rows):
            assert name not in metrics
            continue
        for column, (prefix, label) in enumerate((("", "click"), ("CTCVR ", "conversion"))):
            y = with_buys.column("test", label)[view.rows]
            for number in range(3):
                sample = np.repeat(users, draw_users(len(users), DRAWS_SEED, number)).tolist()
                expected = oracles.resampled(
                    user[rows].tolist(), y[rows].tolist(), scores[rows, column].tolist(), sample
                )
                actual = metrics[name][f"{prefix}AUC"][number], metrics[name][f"{prefix}GAUC"][number]
                np.testing.assert_allclose(actual, expected, atol=1e-12, equal_nan=True)


def test_metrics_are_those_of_the_groups(with_buys: Dataset, view: View) -> None:
    scores = np.random.default_rng(1).random(len(view.rows), np.float32).round(1)
    metrics = measure(with_buys, view, scores)
    user, y = (with_buys.column("test", name)[view.rows] for name in ("user", "click"))
    for name, members in groups_of(with_buys, view).items():
        rows = np.flatnonzero(members)
        if len(rows):
            labels, group_scores = y[rows].tolist(), scores[rows].tolist()
            expected = {
                "AUC": oracles.auc(labels, group_scores),
                "GAUC": oracles.gauc(user[rows].tolist(), labels, group_scores),
            }
            for metric, value in expected.items():
                # A small group may have one label.
                assert metrics[name][metric] == (None if np.isnan(value) else pytest.approx(value, abs=1e-12))
            assert metrics[name]["users"] == len(set(user[rows].tolist()))


def test_calibration_is_that_of_the_groups_labels(with_buys: Dataset, view: View) -> None:
    """Scores .25 for all: the log loss is that of two numbers, the error the distance to the click rate."""
    metrics = measure(with_buys, view, np.full((len(view.rows), 2), 0.25, np.float32))
    for name, members in groups_of(with_buys, view).items():
        rows = view.rows[np.flatnonzero(members)]
        for prefix, label in (("", "click"), ("CTCVR ", "conversion")):
            if len(rows):
                rate = with_buys.column("test", label)[rows].mean()
                assert metrics[name][f"{prefix}log loss"] == pytest.approx(
                    -rate * np.log(0.25) - (1 - rate) * np.log(0.75)
                )
                assert metrics[name][f"{prefix}ECE"] == pytest.approx(abs(rate - 0.25))


def test_scores_that_are_no_probabilities_have_no_calibration(with_buys: Dataset, view: View) -> None:
    scores = np.linspace(-1, 2, len(view.rows))
    metrics = measure(with_buys, view, scores)
    assert [metrics["all"][name] for name in ("log loss", "NE", "ECE")] == [None, None, None]
    assert metrics["all"]["AUC"] is not None


def test_scores_are_single_floats_and_progress_is_told_of_every_batch(
    with_buys: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    @contextmanager
    def recorded(*arguments: Any) -> Iterator[Callable[[float], None]]:
        calls.append(arguments)
        yield calls.append

    monkeypatch.setattr("mailcli.training.scorer.progress", recorded)
    config = make_config([{"data": "buys", "history": 10, "ranker": "esmm", "batch_size": 16}])
    view = views(with_buys, config)["test"]
    view = view._replace(rows=view.rows[:40])
    batches = Batches(with_buys, view, config.history, config.batch_size)
    scores = Scorer(make_model(with_buys, config))(batches, "scoring test")
    assert scores.dtype == np.float32
    assert scores.shape == (40, 2)
    # At most sixteen, because a user's impressions stay together.
    assert calls == [("scoring test", 40, "impressions"), 15, 9, 16]
