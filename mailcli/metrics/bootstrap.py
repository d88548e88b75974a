"""How far AUC and GAUC depend on which users are in the test: users drawn with replacement, all their impressions each.

Impressions of one user are alike, so they are not drawn one by one: that would make intervals too narrow. Nothing is
sorted again for a draw: it is a weight per user, how often the draw has that user, and both metrics are sums of them.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from mailcli.errors import MailError
from mailcli.metrics.auc import auc_by_user

#: The fewest draws for an interval (ours): of fewer, less than one lies beyond either end, 2.5 % of them.
MIN_DRAWS = 40
#: The most (ours): the ends are then known to 1 % of the metric's standard error.
MAX_DRAWS = 100_000

Weights = NDArray[np.int64]
"""[users], how often each user counts."""


def check_draws(draws: int) -> None:
    """Refuse a number of draws that no interval can be made of; 0 asks for none (MailError)."""
    if draws and not MIN_DRAWS <= draws <= MAX_DRAWS:
        raise MailError(f"--bootstrap is {draws}. Expected 0 (no intervals), or {MIN_DRAWS} to {MAX_DRAWS} draws.")


class WeightedMetrics:
    """AUC and GAUC of impressions, each counted as often as its user."""

    def __init__(self, users: ArrayLike, labels: ArrayLike, scores: ArrayLike, population: int) -> None:
        """Sort once.

        Args:
            users: [N], from 0 to population - 1, in any order.
            labels: [N], 0 or 1.
            scores: [N], finite.
            population: how many users there are to draw from; some may have no impression among the N.

        Raises:
            ValueError: as `metrics.gauc`, or a user is not below the population.
        """
        auc, impressions = auc_by_user(users, labels, scores)
        u, clicked, s = np.asarray(users, np.int64), np.asarray(labels) == 1, np.asarray(scores)
        if len(u) and not 0 <= u.min() <= u.max() < population:
            raise ValueError(f"users should be 0 to {population - 1}. Received: {u.min()} to {u.max()}")
        both = ~np.isnan(auc)
        present = np.flatnonzero(np.bincount(u, minlength=population))[both]
        self._impressions = np.zeros(population)
        self._impressions[present] = impressions[both]
        self._auc_sums = np.zeros(population)
        self._auc_sums[present] = auc[both] * impressions[both]
        levels, level = np.unique(s[clicked], return_inverse=True)
        self._clicks = _count(level, u[clicked], len(levels), population)
        # Place 2k lies between the scores of clicks k-1 and k, place 2k+1 on that of k.
        places = np.searchsorted(levels, s[~clicked], "left") + np.searchsorted(levels, s[~clicked], "right")
        self._others = _count(places, u[~clicked], 2 * len(levels) + 1, population)

    def auc(self, weights: Weights) -> float:
        """Σ w_u w_v [s_i > s_j] / Σ w_u w_v over clicks i of users u, non-clicks j of users v, ties counted half.

        With weights of one it is `metrics.auc`; a user who counts twice is there twice. NaN where no click or no
        non-click has a weight.
        """
        clicks = self._clicks @ weights
        below = np.cumsum(self._others @ weights)
        pairs = int(clicks.sum()) * int(below[-1])
        twice = clicks @ (below[:-1:2] + below[1::2])
        return int(twice) / (2 * pairs) if pairs else float("nan")

    def gauc(self, weights: Weights) -> float:
        """Σ w_u n_u AUC_u / Σ w_u n_u over the users of both classes; NaN where none of them has a weight."""
        total = weights @ self._impressions
        return float(weights @ self._auc_sums / total) if total else float("nan")


def _count(row: NDArray, user: NDArray, rows: int, population: int) -> csr_array:
    """[rows, population], how often each pair occurs."""
    return csr_array((np.ones(len(row), np.int64), (row, user)), shape=(rows, population))


def draw_users(population: int, seed: int, number: int) -> Weights:
    """One draw of as many users as there are, with replacement: how often each was drawn.

    Args:
        population: the number of users.
        seed, number: decide the draw; number counts the draws of a seed, which can be made in any order.
    """
    chosen = np.random.default_rng([seed, number]).integers(population, size=population)
    return np.bincount(chosen, minlength=population)


def resample(
    samples: Sequence[WeightedMetrics], population: int, draws: int, seed: int
) -> Generator[NDArray[np.float64], None, None]:
    """AUC and GAUC of some samples for one draw of their users after another; draws are made in threads.

    Args:
        samples: impressions of one population, e.g. those of new and of old users; each sees the same draws.
        population: the number of users.
        draws: how many draws.
        seed: the same seed gives the same draws, and more draws begin with those of fewer.

    Yields:
        [samples, 2], in the order of the draws.
    """

    def metrics_of(number: int) -> NDArray[np.float64]:
        weights = draw_users(population, seed, number)
        return np.array([(sample.auc(weights), sample.gauc(weights)) for sample in samples])

    # NumPy and SciPy let go of Python's lock in the long parts.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(metrics_of, range(draws))


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Sec. 13.3).

    Args:
        values: [draws], a metric of each draw; draws in which it is not defined (NaN) are left out.
        level: the share of draws between its ends.

    Returns:
        Its ends; NaN where no draw has a value.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
