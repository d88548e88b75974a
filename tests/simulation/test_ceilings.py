"""The ceilings of a simulated world agree with brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.simulation.alimama_tables import SimulatedTestDay, draw_chunks
from mailcli.simulation.ceilings import CeilingScores
from mailcli.simulation.world import Settings, World

#: Draws of the brute force. Given 10 behaviors, they are worth a thousand.
DRAWS = 200_000


def small_world(**settings: float) -> tuple[World, SimulatedTestDay]:
    """A world of 60 users with 8 behaviors each, and its test day."""
    world = World(Settings(users=60, seed=3, behaviors_per_user=8, **settings))  # type: ignore[arg-type]
    (chunk,) = draw_chunks(world)
    return world, chunk.test_day


def brute_force(world: World, day: SimulatedTestDay, row: int, logits: NDArray, counts: NDArray | None = None) -> float:
    """P(click | shown, what is known) of one impression, with logits [draws, 16] from the prior, one by one in words.

    Each possible θ counts as often as it explains the behaviors and shows the ad: half of the ads are of an interest
    drawn from θ, half of a random one.
    """
    theta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    interest = theta[:, world.ad_interest[day.ad[row]]]
    likelihood = np.ones(len(theta)) if counts is None else np.prod(theta**counts, axis=1)
    shown = 0.5 * interest + 0.5 / 16
    affinity = (np.log(interest) - world.mean) / world.std + world.quality[day.ad[row]]
    click = 1 / (1 + np.exp(-world.intercept - affinity))
    return float((likelihood * shown * click).sum() / (likelihood * shown).sum())


@pytest.mark.parametrize(("strength", "interactions"), [pytest.param(0.5, 0.0, marks=pytest.mark.slow), (0.7, 1.0)])
def test_scores_are_those_of_brute_force(strength: float, interactions: float) -> None:
    world, day = small_world(attribute_strength=strength, interactions=interactions)
    behavior, attributes, item = CeilingScores(world).score(day)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(DRAWS, 16))
    anyone = 1.5 * (math.sqrt(strength) * world.means[rng.integers(1092, size=DRAWS)] + math.sqrt(1 - strength) * noise)
    errors: dict[str, list[float]] = {"item": [], "attributes": [], "behavior": []}
    for row in range(0, len(day.ad), 9):
        user = day.user_rows[row]
        alike = 1.5 * (math.sqrt(strength) * world.means[day.combination[user]] + math.sqrt(1 - strength) * noise)
        errors["item"].append(item[row] / brute_force(world, day, row, anyone) - 1)
        errors["attributes"].append(attributes[row] / brute_force(world, day, row, alike) - 1)
        errors["behavior"].append(behavior[row] / brute_force(world, day, row, anyone, day.interests[user]) - 1)
    for known, median in (("item", 0.04), ("attributes", 0.04), ("behavior", 0.06)):
        assert np.median(np.abs(errors[known])) < median, known
    assert np.max(np.abs(errors["item"] + errors["attributes"])) < 0.15
    # Given many behaviors, brute force is uncertain itself, and the prior is not quite normal.
    assert np.quantile(np.abs(errors["behavior"]), 0.9) < 0.3


def test_attributes_that_decide_interests_tell_the_true_probability() -> None:
    world, day = small_world(attribute_strength=1.0, interactions=0.4)
    _, attributes, _ = CeilingScores(world).score(day)
    np.testing.assert_allclose(attributes, day.probability, rtol=1e-5)


def test_attributes_that_mean_nothing_tell_no_more_than_the_item() -> None:
    scores = CeilingScores(World(Settings(users=3000, seed=1, attribute_strength=0.0)))
    for chunk in draw_chunks(World(Settings(users=3000, seed=1, attribute_strength=0.0))):
        scores.add(chunk.test_day)
    ceilings = scores.measure()
    assert ceilings.attributes_auc == pytest.approx(ceilings.item_auc, abs=0.003)
    assert ceilings.behavior_auc > ceilings.item_auc + 0.1


def test_more_that_is_known_is_never_worth_less() -> None:
    world = World(Settings(users=3000, seed=2, attribute_strength=0.5))
    scores = CeilingScores(world)
    for chunk in draw_chunks(world):
        scores.add(chunk.test_day)
    ceilings = scores.measure()
    assert ceilings.auc > ceilings.behavior_auc > ceilings.attributes_auc > ceilings.item_auc > 0.5


def test_behaviors_of_the_test_day_and_duplicates_are_not_counted() -> None:
    world, day = small_world()
    (chunk,) = draw_chunks(world)
    counted = np.zeros_like(day.interests)
    ids = {int(user): row for user, row in zip(day.user_ids, day.user_rows, strict=True)}
    rows = [row for row in chunk.behaviors.to_pylist() if 0 < row["time_stamp"] < 1494604800]
    for row in {tuple(row.items()): row for row in rows}.values():
        if row["user"] in ids:
            counted[ids[row["user"]], (row["cate"] - 1) % 16] += 1
    seen = sorted(ids.values())
    np.testing.assert_array_equal(counted[seen], day.interests[seen])
