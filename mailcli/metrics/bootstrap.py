"""Bootstrap intervals of AUC and GAUC: test users are drawn with replacement, each with all of their impressions.

Impressions of one user are correlated, so drawing them one by one would make the intervals too narrow. A draw is a
weight per user, the number of times that the user was drawn. Both metrics are weighted sums, so only the first
computation sorts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from mailcli.errors import MailError
from mailcli.metrics.auc import auc_by_user
from mailcli.utils.hardware import threads
from mailcli.utils.progress import progress

#: The fewest draws for an interval (ours): with fewer, less than one draw (2.5%) would lie beyond either end.
MIN_DRAWS = 40
#: The same of an audit, whose verdict is read off intervals with 1.25% beyond either end.
MIN_AUDIT_DRAWS = 80
#: The most (ours): the ends are then accurate to 1% of the metric's standard error.
MAX_DRAWS = 100_000
#: Seed of the draws of users (ours): a constant, so that all runs on a dataset are measured on the same draws.
DRAWS_SEED = 0

Weights = NDArray[np.int64]
"""[users], the number of times that each user counts."""


def check_draws(draws: int) -> None:
    """Refuse a number of draws that intervals cannot have (MailError); 0 means no intervals."""
    if draws and not MIN_DRAWS <= draws <= MAX_DRAWS:
        raise MailError(f"--bootstrap is {draws}. Expected 0 (no intervals), or {MIN_DRAWS} to {MAX_DRAWS} draws.")


def check_audit_draws(draws: int) -> None:
    """Refuse a number of draws that an audit cannot have (MailError)."""
    if not MIN_AUDIT_DRAWS <= draws <= MAX_DRAWS:
        raise MailError(
            f"--bootstrap is {draws}. Expected {MIN_AUDIT_DRAWS} to {MAX_DRAWS} draws: whether v̂ is personal is read "
            "off their intervals."
        )


class WeightedMetrics:
    """AUC and GAUC of impressions that are weighted by user."""

    def __init__(self, users: ArrayLike, labels: ArrayLike, scores: ArrayLike, population: int) -> None:
        """Sort the impressions once.

        Args:
            users: [N], from 0 to population - 1, in any order.
            labels: [N], 0 or 1.
            scores: [N], finite.
            population: the number of users to draw from; some may have none of the N impressions.

        Raises:
            ValueError: as `auc.gauc`, or a user is not below the population.
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
        # Position 2k lies between the scores of clicks k-1 and k, position 2k+1 at the score of click k.
        positions = np.searchsorted(levels, s[~clicked], "left") + np.searchsorted(levels, s[~clicked], "right")
        self._others = _count(positions, u[~clicked], 2 * len(levels) + 1, population)

    def auc(self, weights: Weights) -> float:
        """Σ w_u w_v [s_i > s_j] / Σ w_u w_v over clicks i of users u and non-clicks j of users v; ties count half.

        With weights of 1 it equals `auc.auc`; a user of weight 2 counts as two users. NaN if no click or no non-click
        has a positive weight.
        """
        clicks = self._clicks @ weights
        below = np.cumsum(self._others @ weights)
        pairs = int(clicks.sum()) * int(below[-1])
        twice = clicks @ (below[:-1:2] + below[1::2])
        return int(twice) / (2 * pairs) if pairs else float("nan")

    def gauc(self, weights: Weights) -> float:
        """Σ w_u n_u AUC_u / Σ w_u n_u over users with both classes; NaN if all their weights are 0."""
        total = weights @ self._impressions
        return float(weights @ self._auc_sums / total) if total else float("nan")


def _count(row: NDArray, user: NDArray, rows: int, population: int) -> csr_array:
    """[rows, population], the number of times that each pair occurs."""
    return csr_array((np.ones(len(row), np.int64), (row, user)), shape=(rows, population))


def draw_users(population: int, seed: int, number: int) -> Weights:
    """Draw as many users as there are, with replacement; the number of times that each was drawn.

    Args:
        population: the number of users.
        seed, number: the seed, and the draw's number; the draws of a seed can be made in any order.
    """
    users = np.random.default_rng([seed, number]).integers(population, size=population)
    return np.bincount(users, minlength=population)


def resample(
    samples: Sequence[WeightedMetrics], population: int, draws: int, seed: int
) -> Generator[NDArray[np.float64], None, None]:
    """AUC and GAUC of each sample, for one draw of users after another; draws are made in threads.

    Args:
        samples: impressions of one population, e.g. of new and of old users; all share the same draws.
        population: the number of users.
        draws: the number of draws.
        seed: the same seed gives the same draws; a larger number of draws starts with the same ones.

    Yields:
        [samples, 2], in the order of the draws.
    """

    def metrics_of(number: int) -> NDArray[np.float64]:
        weights = draw_users(population, seed, number)
        return np.array([(sample.auc(weights), sample.gauc(weights)) for sample in samples])

    # NumPy and SciPy release the GIL in the long parts.
    with ThreadPoolExecutor(threads()) as pool:
        yield from pool.map(metrics_of, range(draws))


def resampled_metrics(samples: Sequence[WeightedMetrics], population: int, draws: int) -> NDArray[np.float64]:
    """[draws, samples, 2], AUC and GAUC of each sample for each draw of users, with a progress bar.

    The draws have the seed DRAWS_SEED, so all runs on a dataset are measured on the same ones.
    """
    metrics = np.empty((draws, len(samples), 2))
    with progress("drawing users", draws, "draws") as advance:
        for number, of_draw in enumerate(resample(samples, population, draws, DRAWS_SEED)):
            metrics[number] = of_draw
            advance(1)
    return metrics


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, Sec. 13.3).

    Args:
        values: [draws], a metric of each draw; draws in which it is undefined (NaN) are excluded.
        level: the share of draws inside the interval.

    Returns:
        Its lower and upper end; NaN if no draw has a value.
    """
    metric = np.asarray(values, dtype=np.float64)
    metric = metric[~np.isnan(metric)]
    if not len(metric):
        return float("nan"), float("nan")
    low, high = np.quantile(metric, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
