"""The true probabilities of a simulated dataset."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.metrics.auc import auc
from mailcli.simulation.ground_truth import Truth
from mailcli.simulation.world import Settings, World
from tests.helpers.ground_truth import slow_click_probability


@pytest.fixture(scope="module")
def truth(tiny: Dataset) -> Truth:
    return Truth(tiny)


@pytest.fixture(scope="module")
def buyable(with_buys: Dataset) -> Truth:
    return Truth(with_buys)


def test_the_world_is_made_again(tiny: Dataset, truth: Truth, simulated_raw: Path) -> None:
    user, item = tiny.column("test", "user"), tiny.column("test", "item")
    marker = json.loads((simulated_raw / "SIMULATED.json").read_text())
    ceiling = auc(tiny.column("test", "click"), truth.click(user, item).astype(np.float32))
    assert ceiling == marker["ceiling_auc"]
    probabilities = truth.click(tiny.column("train", "user"), tiny.column("train", "item"))
    clicks = tiny.column("train", "click")
    # About 5,000 clicks of probability .05: their mean is known to .003, and they correlate with the probabilities.
    assert probabilities.mean() == pytest.approx(clicks.mean(), abs=4 * math.sqrt(0.05 / len(clicks)))
    assert np.corrcoef(probabilities, clicks)[0, 1] > 0.15
    others = np.random.default_rng(0).permutation(tiny.counts["users"])[tiny.column("train", "user")]
    assert abs(np.corrcoef(truth.click(others, tiny.column("train", "item")), clicks)[0, 1]) < 0.15


def test_true_probabilities_are_those_of_the_formula(tiny: Dataset, truth: Truth) -> None:
    world = World(Settings(users=300, seed=1, behaviors_per_user=30))
    users, items = np.array([0, 17, 250]), np.array([3, 0, 40])
    raw = zip(tiny.column("users", "raw")[users], tiny.column("items", "raw")[items], strict=True)
    expected = [slow_click_probability(world, int(user), int(ad)) for user, ad in raw]
    np.testing.assert_allclose(truth.click(users, items), expected, rtol=1e-12)


def test_buys_follow_clicks_as_the_data_does(with_buys: Dataset, buyable: Truth) -> None:
    assert buyable.has_conversions
    user, item = with_buys.column("train", "user"), with_buys.column("train", "item")
    both = buyable.click(user, item) * buyable.buy(user, item)
    bought = with_buys.column("train", "conversion")
    assert both.sum() == pytest.approx(bought.sum(), abs=4 * math.sqrt(both.sum()))
