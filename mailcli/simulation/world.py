"""The latent-interest model behind simulated data.

Each user has interests θ = softmax(sharpness · (√s · m(attributes) + √(1 - s) · ε)), s = `attribute_strength`.
Behaviors are drawn from θ; a click on ad j has probability sigmoid(b + gain · z(u, j) + quality_j), z the standardized
log interest in the ad's group of categories. So attributes predict behavior to the degree s, and behavior predicts
clicks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError

# Proportions of the published files (ALIMAMA.md).
ADS_PER_USER = 0.74
CTR = 0.05
CATEGORIES, BRANDS_PER_CATEGORY = 12_960, 8
#: Number of values and share of empty fields of each column.
ATTRIBUTES = {
    "cms_segid": (97, 0.0),
    "cms_group_id": (13, 0.0),
    "final_gender_code": (2, 0.0),
    "age_level": (7, 0.0),
    "pvalue_level": (3, 0.54),
    "shopping_level": (3, 0.0),
    "occupation": (2, 0.0),
    "new_user_class_level": (4, 0.32),
}
#: Attributes that interests depend on: those that are never empty and have few values (ours).
INTEREST_ATTRIBUTES = ("cms_group_id", "final_gender_code", "age_level", "shopping_level", "occupation")

# The latent model (ours): chosen so that the true probability reaches an AUC near .75.
INTERESTS = 16
SHARPNESS = 1.5
CLICK_GAIN = 1.0
QUALITY_SPREAD = 0.3
#: Share of impressions that are targeted by the user's interests; the others are random.
TARGETED = 0.5
#: logit of 8 %: with the affinity added as for clicks, about a tenth of the clicks lead to a purchase (ours).
BUY_INTERCEPT = -2.44
USERS_PER_CHUNK = 10_000


@dataclass(frozen=True)
class Settings:
    """All that simulated files depend on; kept in SIMULATED.json."""

    users: int
    seed: int = 0
    behaviors_per_user: float = 100
    attribute_strength: float = 0.5
    conversions: bool = False
    """Whether raw_sample has a column `buy`."""

    def __post_init__(self) -> None:
        if self.users < 10:
            raise MailError(f"--users is {self.users}. Expected 10 or more.")
        if not 0 <= self.attribute_strength <= 1:
            raise MailError(f"--attribute-strength is {self.attribute_strength}. Expected a number from 0 to 1.")
        if not self.behaviors_per_user > 0:
            raise MailError(f"--behaviors-per-user is {self.behaviors_per_user}. Expected more than 0.")
        if self.seed < 0:
            raise MailError(f"--seed is {self.seed}. Expected 0 or more.")


class _GroupSampler:
    """Draws members of groups by weight.

    Args:
        group: [members], the group of each.
        weight: [members].
        groups: number of groups, none of which is empty.
    """

    def __init__(self, group: NDArray[np.int64], weight: NDArray[np.float64], groups: int) -> None:
        self.order = np.argsort(group, kind="stable")
        self.sums = np.cumsum(weight[self.order])
        ends = np.searchsorted(group[self.order], np.arange(groups), side="right") - 1
        self.high = self.sums[ends]
        self.low = np.r_[0.0, self.high[:-1]]

    def draw(self, group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A member of each of the groups."""
        low, high = self.low[group], self.high[group]
        position = np.searchsorted(self.sums, low + rng.random(len(group)) * (high - low), side="right")
        return self.order[np.minimum(position, len(self.order) - 1)]


class Chunk(NamedTuple):
    """Some of a world's users."""

    number: int
    ids: NDArray[np.int64]
    attributes: dict[str, NDArray[np.int64]]
    """[users] by name, the index of each user's value."""
    theta: NDArray[np.float64]
    """[users, INTERESTS]"""
    rng: np.random.Generator
    """The generator for their behaviors and impressions; it has already drawn attributes and θ."""


class World:
    """All that users share: categories, ads, the effect of attributes on interests, the intercept of clicks."""

    def __init__(self, settings: Settings) -> None:
        rng = np.random.default_rng([settings.seed, 0])
        self.settings = settings
        self.ads = max(2 * INTERESTS, round(ADS_PER_USER * settings.users))
        self.categories = min(CATEGORIES, max(4 * INTERESTS, self.ads // 10))
        # The first INTERESTS categories and ads cover every interest, so that no group is empty.
        self.interest_of_category = np.arange(self.categories) % INTERESTS
        self.category_sampler = _GroupSampler(self.interest_of_category, _zipf(self.categories, rng), INTERESTS)
        interest = np.r_[np.arange(INTERESTS), rng.integers(INTERESTS, size=self.ads - INTERESTS)]
        self.ad_category = self.category_sampler.draw(interest, rng)
        self.ad_interest = self.interest_of_category[self.ad_category]
        self.ad_sampler = _GroupSampler(self.ad_interest, _zipf(self.ads, rng), INTERESTS)
        self.quality = rng.normal(0, QUALITY_SPREAD, self.ads)
        self.effects = {name: rng.normal(size=(ATTRIBUTES[name][0], INTERESTS)) for name in INTEREST_ATTRIBUTES}
        self.user_ids = rng.permutation(settings.users) + 1
        sample = self.interests(self.attributes(20_000, rng), rng)
        self.mean, self.std = np.log(sample).mean(), np.log(sample).std()
        user = rng.integers(len(sample), size=200_000)
        ad = self.draw_ads(sample[user], rng)
        self.intercept = _intercept(self.affinity(sample[user], ad))

    def chunks(self) -> Iterator[Chunk]:
        """All users, each chunk with its own random stream: the same settings always give the same users."""
        for number, start in enumerate(range(0, self.settings.users, USERS_PER_CHUNK)):
            rng = np.random.default_rng([self.settings.seed, 2, number])
            ids = self.user_ids[start : start + USERS_PER_CHUNK]
            attributes = self.attributes(len(ids), rng)
            yield Chunk(number, ids, attributes, self.interests(attributes, rng), rng)

    def attributes(self, count: int, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
        """Indices of attribute values, smaller ones more frequent."""
        return {
            name: np.minimum(rng.geometric(1.5 / values, count) - 1, values - 1)
            if values > 13
            else rng.integers(values, size=count)
            for name, (values, _) in ATTRIBUTES.items()
        }

    def interests(self, attributes: dict[str, NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.float64]:
        """[users, INTERESTS], θ by the formula at the top of this module."""
        names = INTEREST_ATTRIBUTES
        signal = sum(self.effects[name][attributes[name]] for name in names) / np.sqrt(len(names))
        strength = self.settings.attribute_strength
        noise = rng.normal(size=signal.shape)
        power: NDArray[np.float64] = np.exp(SHARPNESS * (np.sqrt(strength) * signal + np.sqrt(1 - strength) * noise))
        return np.asarray(power / power.sum(axis=1, keepdims=True), np.float64)

    def draw_ads(self, theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
        """[impressions], the ad shown to a user of each row of θ."""
        targeted = rng.random(len(theta)) < TARGETED
        interest = np.where(targeted, draw_interests(theta, rng), rng.integers(INTERESTS, size=len(theta)))
        return self.ad_sampler.draw(interest, rng)

    def affinity(self, theta: NDArray[np.float64], ad: NDArray[np.int64]) -> NDArray[np.float64]:
        """The logit of a click, without its intercept."""
        interest = np.log(theta[np.arange(len(ad)), self.ad_interest[ad]])
        return CLICK_GAIN * (interest - self.mean) / self.std + self.quality[ad]

    def click(self, affinity: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(click), given the affinity of user and ad."""
        return sigmoid(self.intercept + affinity)

    def buy(self, affinity: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(buy | click), given the affinity of user and ad."""
        return sigmoid(BUY_INTERCEPT + affinity)

    def brands(self, category: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A brand from each category; the first brands are the most frequent."""
        rank = np.minimum(rng.geometric(0.35, len(category)) - 1, BRANDS_PER_CATEGORY - 1)
        return category * BRANDS_PER_CATEGORY + rank + 1


def _zipf(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """[count], weights that fall with the rank by a power law, in random order."""
    return np.asarray((1.0 + rng.permutation(count)) ** -0.8, dtype=np.float64)


def draw_interests(theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """[users], an interest drawn from each row of θ."""
    return np.minimum((np.cumsum(theta, axis=1) < rng.random((len(theta), 1))).sum(axis=1), INTERESTS - 1)


def _intercept(affinity: NDArray[np.float64]) -> float:
    """b with mean sigmoid(b + affinity) = CTR, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(middle + affinity).mean() < CTR else (low, middle)
    return low


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))
