"""The latent-interest model behind simulated data.

Each user has interests θ = softmax(sharpness · (√s · m(attributes) + √(1 - s) · ε)), s = `attribute_strength`. The mean
m = √(1 - i) · (sum of an effect per attribute value) + √i · (an effect per combination of values), i = `interactions`;
both parts have unit variance. Behaviors are drawn from θ; a click on ad j has probability
sigmoid(b + gain · z(u, j) + quality_j), z the standardized log interest in the ad's group of categories. So attributes
predict behavior to the degree s, and behavior predicts clicks.

Ads, categories and brands grow with the users, so that clicks per ad, category and brand stay those of the published
files at every size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, softmax

from mailcli.errors import MailError, shorten

# Proportions of the published files: 1,141,729 users, 26,557,961 impressions with 5.14% clicks, 846,811 ads in 6,769
# categories and of 99,815 brands; 12,968 categories and 460,561 brands in the behavior log.
ADS_PER_USER = 846_811 / 1_141_729
IMPRESSIONS_PER_USER = 26_557_961 / 1_141_729
CTR = 0.0514
#: The least mean click probability (ours): with less there is no click even in millions of impressions.
LEAST_CTR = 1e-6
CLICKS_PER_CATEGORY = 202.0
#: The least clicks per category (ours): with fewer there are many more categories than ads, and no memory for them.
LEAST_CLICKS = 0.1
CATEGORIES_PER_AD_CATEGORY = 12_968 / 6_769
BRANDS_PER_CATEGORY, AD_BRANDS_PER_CATEGORY = 36, 15
#: Popularity falls with the rank to this power. Among the categories of the last 50 behaviors of 230 published users it
#: is 0.7 from rank 1 to 100, and 0.9 from 20 to 200; for ads and brands the same is ours.
POPULARITY_EXPONENT = 0.8
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
#: An attribute of more values has a geometric distribution, not a uniform one, with a mean index of about the number of
#: values over GEOMETRIC_RATE (ours).
MANY_VALUES, GEOMETRIC_RATE = 13, 1.5
#: Attributes that interests depend on: those that are never empty and have few values (ours).
INTEREST_ATTRIBUTES = ("cms_group_id", "final_gender_code", "age_level", "shopping_level", "occupation")
_COMBINATIONS = tuple(ATTRIBUTES[name][0] for name in INTEREST_ATTRIBUTES)

# The latent model (ours): chosen so that the true probability reaches an AUC near .75.
INTERESTS = 16
SHARPNESS = 1.5
CLICK_GAIN = 1.0
QUALITY_SPREAD = 0.3
#: Share of impressions that are targeted by the user's interests; the others are random.
TARGETED = 0.5
#: logit of 8%: with the affinity added as for clicks, about a tenth of the clicks lead to a purchase (ours).
BUY_INTERCEPT = -2.44
#: With fewer there may be no old or no new users in a split (ours).
LEAST_USERS = 10
#: Most simulated users (ours: more than there are people).
MOST_USERS = 10**10
#: Users that are simulated at once (ours: tens of MB).
USERS_PER_CHUNK = 10_000
#: Users and impressions from which a world's means and its intercept are computed (ours: seconds, whatever the size).
SAMPLED_USERS, SAMPLED_IMPRESSIONS = 20_000, 200_000


@dataclass(frozen=True)
class Settings:
    """All that simulated files depend on; kept in SIMULATED.json."""

    users: int
    seed: int = 0
    behaviors_per_user: float = 100
    attribute_strength: float = 0.5
    conversions: bool = False
    """Whether raw_sample has a column `buy`."""
    interactions: float = 0.0
    """The share of the attributes' effect on interests that comes from their combinations."""
    clicks_per_category: float = CLICKS_PER_CATEGORY
    """Expected clicks per ad category; sets the number of categories."""
    click_probability: float = CTR
    """Mean over impressions."""

    def __post_init__(self) -> None:
        if not LEAST_USERS <= self.users <= MOST_USERS:
            raise MailError(f"--users is {shorten(self.users)}. Expected {LEAST_USERS} to {MOST_USERS:,}.")
        for name in ("attribute_strength", "interactions"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise MailError(f"--{name.replace('_', '-')} is {value}. Expected a number from 0 to 1.")
        if not 0 < self.behaviors_per_user < math.inf:
            raise MailError(f"--behaviors-per-user is {self.behaviors_per_user}. Expected a positive number.")
        if not LEAST_CTR <= self.click_probability <= 1 - LEAST_CTR:
            raise MailError(
                f"--click-probability is {self.click_probability}. Expected a number from {LEAST_CTR:f} to "
                f"{1 - LEAST_CTR:f}."
            )
        if not LEAST_CLICKS <= self.clicks_per_category < math.inf:
            raise MailError(f"--clicks-per-category is {self.clicks_per_category}. Expected {LEAST_CLICKS} or more.")
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
    combination: NDArray[np.int64]
    """[users], rows of World.means."""
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
        self.ad_categories, self.categories = category_counts(settings)
        # The first INTERESTS categories and ads cover every interest, so that no group is empty.
        self.interest_of_category = np.arange(self.categories) % INTERESTS
        popularity = _power_law(self.categories, rng)
        self.category_sampler = _GroupSampler(self.interest_of_category, popularity, INTERESTS)
        with_ads = slice(self.ad_categories)
        ad_category_sampler = _GroupSampler(self.interest_of_category[with_ads], popularity[with_ads], INTERESTS)
        interest = np.r_[np.arange(INTERESTS), rng.integers(INTERESTS, size=self.ads - INTERESTS)]
        self.ad_category = ad_category_sampler.draw(interest, rng)
        self.ad_interest = self.interest_of_category[self.ad_category]
        self.ad_sampler = _GroupSampler(self.ad_interest, _power_law(self.ads, rng), INTERESTS)
        self.quality = rng.normal(0, QUALITY_SPREAD, self.ads)
        self.means = _mean_interests(settings.interactions, rng)
        self.user_ids = rng.permutation(settings.users) + 1
        sample = self.interests(self.combinations(self.attributes(SAMPLED_USERS, rng)), rng)
        self.mean, self.std = np.log(sample).mean(), np.log(sample).std()
        user = rng.integers(len(sample), size=SAMPLED_IMPRESSIONS)
        ad = self.draw_ads(sample[user], rng)
        self.intercept = _intercept(self.affinity(self.log_interest(sample[user], ad), ad), settings.click_probability)

    def chunks(self) -> Iterator[Chunk]:
        """All users, each chunk with its own random stream: the same settings always give the same users."""
        for number, start in enumerate(range(0, self.settings.users, USERS_PER_CHUNK)):
            rng = np.random.default_rng([self.settings.seed, 2, number])
            ids = self.user_ids[start : start + USERS_PER_CHUNK]
            attributes = self.attributes(len(ids), rng)
            combination = self.combinations(attributes)
            yield Chunk(number, ids, attributes, combination, self.interests(combination, rng), rng)

    def attributes(self, count: int, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
        """Indices of attribute values: uniform; geometric for an attribute of many values, so most are small."""
        return {
            name: np.minimum(rng.geometric(GEOMETRIC_RATE / values, count) - 1, values - 1)
            if values > MANY_VALUES
            else rng.integers(values, size=count)
            for name, (values, _) in ATTRIBUTES.items()
        }

    @staticmethod
    def combinations(attributes: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """[users], each one's row of `means`; all rows are equally frequent."""
        values = tuple(attributes[name] for name in INTEREST_ATTRIBUTES)
        return np.asarray(np.ravel_multi_index(values, _COMBINATIONS), np.int64)

    def interests(self, combination: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
        """[users, INTERESTS], θ by the formula at the top of this module."""
        noise = rng.normal(size=(len(combination), INTERESTS))
        return np.asarray(softmax(self.logits(combination, noise), axis=1), np.float64)

    def logits(self, combination: NDArray[np.int64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """sharpness · (√s · m + √(1 - s) · ε), the logarithm of θ up to a constant per user; arrays are broadcast."""
        strength = self.settings.attribute_strength
        mixed = np.sqrt(strength) * self.means[combination] + np.sqrt(1 - strength) * noise
        return np.asarray(SHARPNESS * mixed, np.float64)

    def draw_ads(self, theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
        """[impressions], the ad shown to a user of each row of θ."""
        targeted = rng.random(len(theta)) < TARGETED
        interest = np.where(targeted, draw_interests(theta, rng), rng.integers(INTERESTS, size=len(theta)))
        return self.ad_sampler.draw(interest, rng)

    def log_interest(self, theta: NDArray[np.float64], ad: NDArray[np.int64]) -> NDArray[np.float64]:
        """[N], the logarithm of each row's entry of θ for the ad's interest."""
        return np.asarray(np.log(theta[np.arange(len(ad)), self.ad_interest[ad]]), np.float64)

    def affinity(self, log_interest: NDArray[np.float64], ad: NDArray[np.int64]) -> NDArray[np.float64]:
        """The logit of a click, without its intercept."""
        return CLICK_GAIN * (log_interest - self.mean) / self.std + self.quality[ad]

    def click(self, affinity: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(click), given the affinity of user and ad."""
        return expit(self.intercept + affinity)

    def buy(self, affinity: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(buy | click), given the affinity of user and ad."""
        return expit(BUY_INTERCEPT + affinity)

    @staticmethod
    def brands(category: NDArray[np.int64], of_category: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """One of the first brands of each category; the first are the most frequent."""
        popularity = np.cumsum(np.arange(1.0, of_category + 1) ** -POPULARITY_EXPONENT)
        rank = np.searchsorted(popularity, rng.random(len(category)) * popularity[-1], side="right")
        return category * BRANDS_PER_CATEGORY + np.minimum(rank, of_category - 1) + 1


def category_counts(settings: Settings) -> tuple[int, int]:
    """Categories with ads, and all categories: at least one per interest, which is too many for few users.

    With the default of `clicks_per_category`, that is below 2,700 users.
    """
    clicks = settings.users * IMPRESSIONS_PER_USER * settings.click_probability
    with_ads = max(INTERESTS, round(clicks / settings.clicks_per_category))
    return with_ads, round(with_ads * CATEGORIES_PER_AD_CATEGORY)


def _mean_interests(interactions: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """[combinations, INTERESTS], m for every combination of attribute values."""
    effects = [rng.normal(size=(count, INTERESTS)) for count in _COMBINATIONS]
    of_combinations = rng.normal(size=(math.prod(_COMBINATIONS), INTERESTS))
    values = np.unravel_index(np.arange(len(of_combinations)), _COMBINATIONS)
    of_values = sum(effect[value] for effect, value in zip(effects, values, strict=True)) / np.sqrt(len(effects))
    return np.asarray(np.sqrt(1 - interactions) * of_values + np.sqrt(interactions) * of_combinations, np.float64)


def _power_law(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """[count], weights that fall with the rank by a power law, in random order."""
    return np.asarray((1.0 + rng.permutation(count)) ** -POPULARITY_EXPONENT, dtype=np.float64)


def draw_interests(theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """[users], an interest drawn from each row of θ."""
    return np.minimum((np.cumsum(theta, axis=1) < rng.random((len(theta), 1))).sum(axis=1), INTERESTS - 1)


def _intercept(affinity: NDArray[np.float64], mean: float) -> float:
    """b with mean sigmoid(b + affinity) = `mean`."""
    return float(brentq(lambda intercept: expit(intercept + affinity).mean() - mean, -40.0, 40.0))
