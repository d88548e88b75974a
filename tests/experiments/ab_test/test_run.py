"""The simulated A/B test: arms, rankings, clicks and lifts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.experiments.ab_test.policies import Contender, is_new, make_policy, parse_contender
from mailcli.experiments.ab_test.run import (
    Arm,
    Setup,
    compare,
    draw_pages,
    draw_rates,
    expected_rates,
    rank,
    run_ab_test,
)
from mailcli.simulation.ground_truth import Truth
from mailcli.simulation.world import Settings, World
from tests.helpers.ground_truth import slow_click_probability


@pytest.fixture(scope="module")
def truth(tiny: Dataset) -> Truth:
    return Truth(tiny)


@pytest.fixture(scope="module")
def buyable(with_buys: Dataset) -> Truth:
    return Truth(with_buys)


def test_chance_against_chance_shows_nothing(with_buys: Dataset, buyable: Truth) -> None:
    """A/A over 300 seeds, from the draw of arms to the p-value."""
    differences, significant = [], 0
    for seed in range(300):
        setup = Setup(users=100, slate=5, candidates=60, seed=seed)
        arms = []
        for number, page in enumerate(draw_pages(setup, with_buys)):
            rng = np.random.default_rng([seed, number])
            slates = rank(make_policy(Contender("random"), with_buys, buyable), page, setup.slate, rng)
            new = is_new(with_buys, RunConfig("buys"), page.users)
            rates = draw_rates(buyable, page.users, slates, rng)
            expected = expected_rates(buyable, page.users, slates)
            arms.append(Arm(new, rates, (expected, expected)))
        outcomes = compare(arms[0], arms[1])
        (lift,) = (o.observed for o in outcomes if (o.users, o.metric) == ("all", "CTR"))
        assert lift.a is not None
        assert lift.b is not None
        differences.append(lift.b - lift.a)
        significant += lift.significant
    # The difference of means of 300 tests has mean 0 within 4 of its standard errors. Of 300 tests at 5%, fewer than 3
    # or more than 30 are significant once in some 10,000 times.
    assert abs(np.mean(differences)) < 4 * np.std(differences) / math.sqrt(300)
    assert 3 <= significant <= 30


def test_the_oracle_beats_chance_by_what_the_probabilities_say(with_buys: Dataset) -> None:
    world = World(Settings(users=200, seed=1, behaviors_per_user=30, conversions=True))
    setup = Setup(users=60, slate=3, candidates=30, seed=5)
    outcomes = run_ab_test(setup, with_buys, (Contender("random"), Contender("oracle")))
    page = draw_pages(setup, with_buys)[1]
    raw_users, raw_items = with_buys.column("users", "raw"), with_buys.column("items", "raw")

    def probabilities(user: int) -> list[float]:
        return [slow_click_probability(world, int(raw_users[user]), int(raw_items[item])) for item in page.items]

    best = np.mean([sum(sorted(probabilities(user), reverse=True)[:3]) / 3 for user in page.users])
    by_name = {(outcome.users, outcome.metric): outcome for outcome in outcomes}
    clicks = by_name["all", "CTR"]
    assert clicks.sizes == (60, 60)
    # B's clicks are 180 draws with these probabilities.
    spread = math.sqrt(best * (1 - best) / 180)
    assert clicks.observed.b == pytest.approx(best, abs=4 * spread)
    average = np.mean([np.mean(probabilities(user)) for user in page.users[:30]])
    assert clicks.expected is not None
    assert clicks.expected > 100 * (best / average - 1) / 2 > 50
    assert by_name["new", "CTR"].sizes[0] + by_name["old", "CTR"].sizes[0] == 60
    assert {metric for _, metric in by_name} == {"CTR", "CTCVR"}


def test_expected_rates_are_the_means_of_what_is_drawn(with_buys: Dataset, buyable: Truth) -> None:
    users, slates = np.arange(4), np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    draws = [draw_rates(buyable, users, slates, np.random.default_rng(seed)) for seed in range(4000)]
    by_name = expected_rates(buyable, users, slates)
    for metric in ("CTR", "CTCVR"):
        expected = by_name[metric]
        mean = np.mean([rates[metric] for rates in draws], axis=0)
        np.testing.assert_allclose(mean, expected, atol=4 * math.sqrt(expected.max() / 8000))
    click = buyable.click(np.array([0, 0]), np.array([0, 1]))
    assert by_name["CTR"][0] == pytest.approx(click.mean())
    assert all((rates["CTCVR"] <= rates["CTR"]).all() for rates in draws[:50])


def test_the_true_lift_compares_the_policies_on_the_same_users(with_buys: Dataset) -> None:
    """A policy against itself has no lift at all, whichever users each arm has."""
    oracle = Contender("oracle")
    for outcome in run_ab_test(Setup(users=60, slate=3, candidates=30, seed=5), with_buys, (oracle, oracle)):
        assert outcome.observed.a != outcome.observed.b
        assert outcome.expected == 0


def test_the_true_lift_by_hand() -> None:
    """New users: one in A, two in B. By A's slates they have rates of .1, .2 and .3, by B's .2, .2 and .5: +50%."""

    def arm(new: list[bool], by_a: list[float], by_b: list[float]) -> Arm:
        return Arm(np.array(new), {"CTR": np.array(by_a)}, ({"CTR": np.array(by_a)}, {"CTR": np.array(by_b)}))

    a = arm([True, False, False], [0.1, 0.4, 0.4], [0.2, 0.1, 0.1])
    b = arm([True, True, False], [0.2, 0.3, 0.4], [0.2, 0.5, 0.2])
    by_users = {outcome.users: outcome for outcome in compare(a, b)}
    assert by_users["new"].expected == pytest.approx(50)
    # Old users: 1.2 and .4.
    assert by_users["old"].expected == pytest.approx(-100 * 2 / 3)
    # All: 1.8 and 1.3.
    assert by_users["all"].expected == pytest.approx(100 * (1.3 / 1.8 - 1))


def test_arms_are_disjoint_and_candidates_are_shared(tiny: Dataset) -> None:
    a, b = draw_pages(Setup(users=150, candidates=40, seed=2), tiny)
    assert sorted([*a.users, *b.users]) == list(range(300))
    assert (a.items == b.items).all()
    assert len(set(a.items)) == 40
    assert set(a.items) <= set(tiny.column("test", "item"))
    of_another_seed = draw_pages(Setup(users=150, candidates=40, seed=3), tiny)[0]
    assert set(of_another_seed.users) != set(a.users)


def test_the_slate_is_the_top(tiny: Dataset, truth: Truth) -> None:
    page = draw_pages(Setup(users=5, candidates=6), tiny)[0]
    scores = np.array([[3, 1, 2, 3, 0, 5]] * 5)
    slates = rank(lambda page, rng: scores[: len(page.users)], page, 3, np.random.default_rng(0))
    assert (slates == page.items[[5, 0, 3]]).all()
    best = rank(make_policy(parse_contender("oracle"), tiny, truth), page, 2, np.random.default_rng(0))
    probabilities = np.array([truth.click(np.full(6, user), page.items) for user in page.users])
    assert (best[:, 0] == page.items[probabilities.argmax(axis=1)]).all()


def test_flags_are_those_of_the_run(tiny: Dataset) -> None:
    users = np.arange(300)
    without_behavior = np.diff(tiny.offsets) == 0
    new = is_new(tiny, RunConfig("tiny", seed=4), users)
    assert new[without_behavior].all()
    assert 0.3 < new.mean() < 0.5
    assert (new != is_new(tiny, RunConfig("tiny", seed=5), users)).any()
