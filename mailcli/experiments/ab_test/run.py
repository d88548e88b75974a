"""An online A/B test on simulated users (MAIL Sec. 4.5): two policies, two arms, clicks by true probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.ab_test.policies import Contender, Page, Policy, is_new, make_policy
from mailcli.metrics.statistics import Lift, lift
from mailcli.simulation.ground_truth import Truth

#: Users whose pages are ranked at once (ours: about 100 MB with 100 candidates).
USERS_AT_ONCE = 20_000
#: The second number of the generator's seed for each draw (ours). Those of the simulator, which may have the same seed,
#: are 0 to 4. _PAGES repeats the 4 of simulation/ceilings.py: kept results depend on it.
_PAGES, _RANKING, _ANSWERS = 4, 5, 6
ARMS = ("A", "B")
GROUPS = ("new", "old", "all")

Rates = NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """The numbers of a test."""

    users: int
    """Users in each of the two arms."""
    slate: int = 5
    """K, the number of items shown to a user (ours)."""
    candidates: int = 100
    """The number of items that each page is ranked from, the same items for all users (ours)."""
    seed: int = 0
    """Decides arms, candidates, contexts, clicks and conversions."""

    def check(self, dataset: Dataset) -> None:
        """Refuse impossible numbers (MailError)."""
        users, items = dataset.counts["users"], len(np.unique(dataset.column("test", "item")))
        rules = [
            (
                2 <= self.users <= users // 2,
                f"--users is {self.users}",
                f"2 to {users // 2}, half of the dataset's users",
            ),
            (
                2 <= self.candidates <= items,
                f"--candidates is {self.candidates}",
                f"2 to {items}, the number of items of the test day",
            ),
            (
                1 <= self.slate < self.candidates,
                f"--slate is {self.slate}",
                f"1 to {self.candidates - 1}, fewer than the candidates",
            ),
            (self.seed >= 0, f"--seed is {self.seed}", "0 or more"),
        ]
        faults = [f"{fault}. Expected {expected}." for ok, fault, expected in rules if not ok]
        if faults:
            raise MailError(" ".join(faults))


class Arm(NamedTuple):
    """What the users of an arm did, [n]: per user, averaged over the K items shown."""

    new: NDArray[np.bool_]
    rates: dict[str, Rates]
    """CTR and, if there are conversions, CTCVR: the share of items that were clicked, or clicked and converted."""
    expected: tuple[dict[str, Rates], dict[str, Rates]]
    """The same by the true probabilities of the items that A and that B would show to these users."""


class Outcome(NamedTuple):
    """One metric of one group of users."""

    users: str
    """One of GROUPS."""
    metric: str
    sizes: tuple[int, int]
    """The group's number of users in A and in B."""
    observed: Lift
    expected: float | None
    """Lift in %, by the true probabilities of what A and B show to the group's users of both arms."""


def run_ab_test(setup: Setup, dataset: Dataset, contenders: tuple[Contender, Contender]) -> list[Outcome]:
    """Run the test.

    Args:
        setup: its numbers.
        dataset: the simulated dataset of both contenders.
        contenders: A and B.

    Raises:
        MailError: the data is not simulated, or the setup does not fit it.
    """
    truth = Truth(dataset)
    setup.check(dataset)
    pages = draw_pages(setup, dataset)
    # Without a run, a contender has no new users of its own: those of the other arm's run, or of a default run.
    configs = [contender.run.config for contender in contenders if contender.run]
    default = configs[0] if configs else RunConfig(data=dataset.name)
    policies = [make_policy(contender, dataset, truth) for contender in contenders]
    arms = []
    for number, (page, contender) in enumerate(zip(pages, contenders, strict=True)):
        config = contender.run.config if contender.run else default
        # Both policies rank for both arms: their expected rates are then those of the same users.
        slates = [
            rank(policy, page, setup.slate, np.random.default_rng([setup.seed, _RANKING, number, policy_number]))
            for policy_number, policy in enumerate(policies)
        ]
        rng = np.random.default_rng([setup.seed, _ANSWERS, number])
        expected = [expected_rates(truth, page.users, slate) for slate in slates]
        rates = draw_rates(truth, page.users, slates[number], rng)
        arms.append(Arm(is_new(dataset, config, page.users), rates, (expected[0], expected[1])))
    return list(compare(arms[0], arms[1]))


def draw_pages(setup: Setup, dataset: Dataset) -> tuple[Page, Page]:
    """Two disjoint random arms of users, a test-day context for each user, and the candidates that both arms see."""
    rng = np.random.default_rng([setup.seed, _PAGES])
    users = rng.permutation(dataset.counts["users"])[: 2 * setup.users]
    contexts = rng.integers(dataset.counts["test"], size=2 * setup.users)
    items = rng.permutation(np.unique(dataset.column("test", "item")))[: setup.candidates].astype(np.int64)
    arms = (slice(setup.users), slice(setup.users, None))
    return Page(users[arms[0]], contexts[arms[0]], items), Page(users[arms[1]], contexts[arms[1]], items)


def rank(policy: Policy, page: Page, slate: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[n, K], the items with the largest scores; ties are broken by the order of the candidates."""
    slates = np.empty((len(page.users), slate), np.int64)
    for start in range(0, len(slates), USERS_AT_ONCE):
        part = slice(start, start + USERS_AT_ONCE)
        scores = policy(Page(page.users[part], page.contexts[part], page.items), rng)
        slates[part] = page.items[np.argsort(-scores, axis=1, kind="stable")[:, :slate]]
    return slates


def draw_rates(
    truth: Truth, users: NDArray[np.int64], slates: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Rates]:
    """Draw clicks, and conversions of clicked items, with their true probabilities, whatever an item's position.

    Args:
        truth: the true probabilities of the dataset.
        users: [n].
        slates: [n, K], the items shown to each user.
        rng: makes the draws.

    Returns:
        The rates of each user, [n] by name.
    """
    click, conversion = _probabilities(truth, users, slates)
    clicked = rng.random(click.shape) < click
    converted = clicked & (rng.random(conversion.shape) < conversion)
    return {"CTR": clicked.mean(axis=1)} | ({"CTCVR": converted.mean(axis=1)} if truth.has_conversions else {})


def expected_rates(truth: Truth, users: NDArray[np.int64], slates: NDArray[np.int64]) -> dict[str, Rates]:
    """The rates of each user by the true probabilities, without the noise of single clicks, [n] by name."""
    click, conversion = _probabilities(truth, users, slates)
    return {"CTR": click.mean(axis=1)} | ({"CTCVR": (click * conversion).mean(axis=1)} if truth.has_conversions else {})


def _probabilities(
    truth: Truth, users: NDArray[np.int64], slates: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n, K], the true probabilities of a click, and of a conversion after it."""
    user, item = np.repeat(users, slates.shape[1]), slates.reshape(-1)
    return truth.click(user, item).reshape(slates.shape), truth.buy(user, item).reshape(slates.shape)


def compare(a: Arm, b: Arm) -> Iterator[Outcome]:
    """B over A for new, old and all users."""
    for users in GROUPS:
        in_a, in_b = (_group(arm, users) for arm in (a, b))
        for metric in a.rates:
            # The expected rates of A and of B, of the same users of both arms.
            by_a, by_b = (
                np.concatenate([a.expected[policy_number][metric][in_a], b.expected[policy_number][metric][in_b]])
                for policy_number in (0, 1)
            )
            yield Outcome(
                users,
                metric,
                (int(in_a.sum()), int(in_b.sum())),
                lift(a.rates[metric][in_a], b.rates[metric][in_b]),
                lift(by_a, by_b).lift,
            )


def _group(arm: Arm, users: str) -> NDArray[np.bool_]:
    return {"new": arm.new, "old": ~arm.new, "all": np.ones(len(arm.new), bool)}[users]
