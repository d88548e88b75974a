"""The AUCs of Bayes-optimal scores on the simulated test day.

A model may know a little more: the behaviors of the test day itself, and the training clicks of old users.

A score is P(click | what is known, the ad is shown) = Σ_r w_r P(show | θ_r) P(click | θ_r, ad) / Σ_r w_r P(show | θ_r),
over draws θ_r, with weights w_r, of the interests that are possible given what is known. The ad's category and quality
are known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from scipy.stats import norm, qmc

from mailcli.metrics.auc import auc, gauc
from mailcli.simulation.alimama_tables import SimulatedTestDay
from mailcli.simulation.world import INTERESTS, SHARPNESS, TARGETED, World

#: Draws of θ per score (ours), powers of two for Sobol's sequence: with twice as many, no ceiling of 20,000 users moves
#: by more than .0005.
PRIOR_DRAWS, BEHAVIOR_DRAWS = 1024, 256
#: Newton steps to the most probable θ (ours): the gradient is below 1e-6 after 10.
NEWTON_STEPS = 12
#: Users scored at a time: bounds the memory to some 100 MB (ours).
BLOCK = 1000

Array = NDArray[np.float64]


class Ceilings(NamedTuple):
    """What the best scores reach on the test day."""

    auc: float
    """AUC of the true click probability: everything is known."""
    gauc: float
    """Its GAUC."""
    behavior_auc: float
    """The user's behaviors before the test day are known."""
    attributes_auc: float
    """The user's attributes are known."""
    item_auc: float
    """Nothing is known of the user."""


class CeilingScores:
    """Collects the scores of the test day, some users at a time.

    Args:
        world: the world that the users are from.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        # Spread evenly, and the same noise for every combination of attributes, so that its error does not rank them.
        points = qmc.Sobol(INTERESTS + 1, rng=np.random.default_rng([world.settings.seed, 4])).random(PRIOR_DRAWS)
        self._noise = norm.ppf(points[:, 1:])
        combination = (points[:, 0] * len(world.means)).astype(np.int64)
        self._population = log_softmax(world.logits(combination, self._noise), axis=1)
        self._prior = _prior(world)
        self._columns: list[tuple[NDArray, ...]] = []

    def add(self, day: SimulatedTestDay) -> None:
        """Keep the scores of the test day of some users."""
        self._columns.append((day.user_ids, day.click, day.probability, *self.score(day)))

    def score(self, day: SimulatedTestDay) -> list[Array]:
        """The best scores [N] from behavior and item, from attributes and item, and from the item alone."""
        scores = [np.empty(len(day.ad)) for _ in range(3)]
        combinations, combination = np.unique(day.combination, return_inverse=True)
        log_theta_of_combination = log_softmax(self._world.logits(combinations[:, None], self._noise), axis=2)
        for first in range(0, len(day.interests), BLOCK):
            # Impressions are ordered by user.
            block = slice(*np.searchsorted(day.user_rows, [first, first + BLOCK]))
            user, ad = day.user_rows[block], day.ad[block]
            interest = self._world.ad_interest[ad]
            distinct, row = np.unique(user, return_inverse=True)
            possible, weight = _posterior(day.interests[distinct], *self._prior, self._noise[:BEHAVIOR_DRAWS])
            scores[0][block] = _score(self._world, possible[row, :, interest], ad, weight[row])
            scores[1][block] = _score(self._world, log_theta_of_combination[combination[user], :, interest], ad)
            scores[2][block] = _score(self._world, self._population[:, interest].T, ad)
        return scores

    def measure(self) -> Ceilings:
        """The ceilings of all users added."""
        users, click, probability, *scores = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        best = auc(click, probability), gauc(users, click, probability).value
        return Ceilings(*best, *(auc(click, score) for score in scores))


def _prior(world: World) -> tuple[Array, Array]:
    """μ and Σ⁻¹ of the logits of a user of whom nothing is known, taken for N(μ, Σ): they are a sum of many effects."""
    strength = world.settings.attribute_strength
    mean = SHARPNESS * np.sqrt(strength) * world.means.mean(axis=0)
    covariance = strength * np.cov(world.means.T, bias=True) + (1 - strength) * np.eye(INTERESTS)
    return mean, np.linalg.inv(SHARPNESS**2 * covariance).astype(np.float64)


def _posterior(counts: NDArray[np.int64], mean: Array, precision: Array, noise: Array) -> tuple[Array, Array]:
    """Draws of log θ given the behaviors [U, INTERESTS] of U users, and their weights: [U, R, INTERESTS] and [U, R].

    Importance sampling around the most probable logits. Behaviors are draws from softmax(logits).
    """
    mode, hessian = _mode(counts, mean, precision)
    # With H = L Lᵀ, L⁻ᵀ ε has covariance H⁻¹; as rows, εᵀ L⁻¹.
    logits = mode[:, None] + noise @ np.linalg.inv(np.linalg.cholesky(hessian))
    log_theta = log_softmax(logits, axis=2)
    distance = logits - mean
    log_prior = -0.5 * ((distance @ precision) * distance).sum(axis=2)
    log_likelihood = (log_theta @ counts[:, :, None])[:, :, 0]
    weight = softmax(log_likelihood + log_prior + 0.5 * (noise**2).sum(axis=1), axis=1)
    return log_theta, weight


def _mode(counts: NDArray[np.int64], mean: Array, precision: Array) -> tuple[Array, Array]:
    """The most probable logits [U, K], and the negative log posterior's second derivative there [U, K, K]."""
    total = counts.sum(axis=1)[:, None]
    logits = np.log((counts + 1) / (total + INTERESTS)) + np.log(INTERESTS) + mean
    for _ in range(NEWTON_STEPS):
        theta = softmax(logits, axis=1)
        gradient = counts - total * theta - (logits - mean) @ precision
        covariance = theta[:, :, None] * np.eye(INTERESTS) - theta[:, :, None] * theta[:, None, :]
        hessian = total[:, :, None] * covariance + precision
        logits = logits + np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    return logits, hessian


def _score(world: World, log_interest: Array, ad: NDArray[np.int64], weight: Array | float = 1.0) -> Array:
    """[N], the formula at the top; `log_interest` [N, R] is each draw's log θ for the ad's interest."""
    weight = weight * (TARGETED * np.exp(log_interest) + (1 - TARGETED) / INTERESTS)
    probability = world.click(world.affinity(log_interest, ad[:, None]))
    return np.asarray((weight * probability).sum(axis=1) / weight.sum(axis=1), np.float64)
