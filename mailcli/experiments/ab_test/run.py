"""An online A/B test on simulated users (MAIL Sec. 4.5): two policies, two arms, clicks drawn with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.ab_test.policies import Contender, Page, Policy, is_new, policy
from mailcli.metrics.statistics import Lift, lift
from mailcli.simulation.ground_truth import Truth

#: Users whose pages are ranked at a time (ours: some 100 MB with 100 candidates).
USERS_AT_ONCE = 20_000
#: Second numbers of the random streams: the simulator has 0 to 3, and may have the same seed.
_PAGES, _RANKING, _ANSWERS = 4, 5, 6
ARMS = ("A", "B")
GROUPS = ("new", "old", "all")

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """What a test is like."""

    users: int
    """Users in each of the two arms."""
    slate: int = 5
    """K, the items that a user is shown (ours)."""
    candidates: int = 100
    """Items that each page is ranked from, the same for all (ours)."""
    seed: int = 0
    """Decides the arms, the candidates, contexts and what is clicked and bought."""

    def check(self, dataset: Dataset) -> None:
        """Refuse what cannot be (MailError)."""
        users, items = dataset.counts["users"], len(np.unique(dataset.column("test", "item")))
        rules = [
            (2 <= self.users <= users // 2, f"--users is {self.users}", f"2 to {users // 2}, half of the dataset's"),
            (
                2 <= self.candidates <= items,
                f"--candidates is {self.candidates}",
                f"2 to {items}, the test day's items",
            ),
            (
                1 <= self.slate < self.candidates,
                f"--slate is {self.slate}",
                f"1 to {self.candidates - 1}, fewer than the candidates",
            ),
            (self.seed >= 0, f"--seed is {self.seed}", "0 or more"),
        ]
        wrong = [f"{told}. Expected {expected}." for ok, told, expected in rules if not ok]
        if wrong:
            raise MailError(" ".join(wrong))


class Arm(NamedTuple):
    """What happened to an arm's users [n]: per user, of the K items shown."""

    new: NDArray[np.bool_]
    rates: dict[str, Counts]
    """CTR and, where there are conversions, CTCVR: what was clicked, and clicked and bought, by items shown."""
    expected: dict[str, Counts]
    """The same by the true probabilities of what was shown: without the chance of single clicks."""


class Outcome(NamedTuple):
    """One metric of one group of users."""

    users: str
    """One of GROUPS."""
    metric: str
    sizes: tuple[int, int]
    """Users of the group in A and B."""
    observed: Lift
    expected: float | None
    """Lift in % by the true probabilities of what was shown to these users."""


def abtest(setup: Setup, dataset: Dataset, contenders: tuple[Contender, Contender]) -> list[Outcome]:
    """Run the test.

    Args:
        setup: how many users, and what they see.
        dataset: the simulated dataset of both.
        contenders: A and B.

    Raises:
        MailError: the data is not simulated, or the setup does not go with it.
    """
    truth = Truth(dataset)
    setup.check(dataset)
    pages = draw_pages(setup, dataset)
    known = [each.run.config for each in contenders if each.run]
    arms = []
    for number, (page, chosen) in enumerate(zip(pages, contenders, strict=True)):
        # Chance and the oracle have no draw of new users of their own.
        config = chosen.run.config if chosen.run else known[0] if known else RunConfig(data=dataset.name)
        shown = rank(
            policy(chosen, dataset, truth), page, setup.slate, np.random.default_rng([setup.seed, _RANKING, number])
        )
        rng = np.random.default_rng([setup.seed, _ANSWERS, number])
        arms.append(show(truth, page.users, shown, is_new(dataset, config, page.users), rng))
    return list(compare(arms[0], arms[1]))


def draw_pages(setup: Setup, dataset: Dataset) -> tuple[Page, Page]:
    """Two disjoint arms of users at random, a context of the test day each, and the candidates that both see."""
    rng = np.random.default_rng([setup.seed, _PAGES])
    users = rng.permutation(dataset.counts["users"])[: 2 * setup.users]
    contexts = rng.integers(dataset.counts["test"], size=2 * setup.users)
    items = rng.permutation(np.unique(dataset.column("test", "item")))[: setup.candidates].astype(np.int64)
    arms = (slice(setup.users), slice(setup.users, None))
    return Page(users[arms[0]], contexts[arms[0]], items), Page(users[arms[1]], contexts[arms[1]], items)


def rank(ranked_by: Policy, page: Page, slate: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[n, K], the items with the largest scores; of equal ones, those that come first among the candidates."""
    shown = np.empty((len(page.users), slate), np.int64)
    for start in range(0, len(shown), USERS_AT_ONCE):
        part = slice(start, start + USERS_AT_ONCE)
        scores = ranked_by(Page(page.users[part], page.contexts[part], page.items), rng)
        shown[part] = page.items[np.argsort(-scores, axis=1, kind="stable")[:, :slate]]
    return shown


def show(
    truth: Truth, users: NDArray[np.int64], shown: NDArray[np.int64], new: NDArray[np.bool_], rng: np.random.Generator
) -> Arm:
    """Clicks, and buys of what was clicked, drawn with the true probabilities; an item's place does not count.

    Args:
        truth: of the dataset.
        users: [n].
        shown: [n, K], items.
        new: [n].
        rng: what they are drawn with.
    """
    who, what = np.repeat(users, shown.shape[1]), shown.reshape(-1)
    click, buy = truth.click(who, what), truth.buy(who, what)
    clicked = rng.random(len(who)) < click
    bought = clicked & (rng.random(len(who)) < buy)
    rates, expected = {"CTR": clicked}, {"CTR": click}
    if truth.has_conversions:
        rates["CTCVR"], expected["CTCVR"] = bought, click * buy
    return Arm(
        new,
        {name: each.reshape(shown.shape).mean(axis=1) for name, each in rates.items()},
        {name: each.reshape(shown.shape).mean(axis=1) for name, each in expected.items()},
    )


def compare(a: Arm, b: Arm) -> Iterator[Outcome]:
    """B over A for new, old and all users."""
    for users in GROUPS:
        of_a, of_b = (_group(arm, users) for arm in (a, b))
        for metric in a.rates:
            yield Outcome(
                users,
                metric,
                (int(of_a.sum()), int(of_b.sum())),
                lift(a.rates[metric][of_a], b.rates[metric][of_b]),
                lift(a.expected[metric][of_a], b.expected[metric][of_b]).lift,
            )


def _group(arm: Arm, users: str) -> NDArray[np.bool_]:
    return {"new": arm.new, "old": ~arm.new, "all": np.ones(len(arm.new), bool)}[users]
