"""Means over seeds, their intervals, and paired comparisons: Student's t by SciPy, Holm's correction by statsmodels.

A seed decides the draw of new users, the initialization and the order of impressions, alike for a method and its
baseline: what differs between the two runs of a seed is the method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.metrics.auc import relative_improvement

#: The coverage of every interval.
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean over seeds."""

    mean: float
    deviation: float | None
    """The standard deviation, with n - 1; None for one seed."""
    half: float | None
    """Half the width of the mean's 95 % interval, t(.975, n - 1) · s / √n; None for one seed."""


class Improvement(NamedTuple):
    """RI in per cent: the mean over seeds, each against its own baseline."""

    mean: float
    half: float | None
    """Half the width of the 95 % interval of the paired difference; None for one seed."""
    p: float | None
    """Two-sided p-value of no difference, the paired t-test's; None for one seed."""
    adjusted: float | None
    """The same after Holm's correction over a table's rows."""

    @property
    def significant(self) -> bool:
        """Whether a difference is shown at 5 %, all rows of the table considered; one seed cannot tell."""
        return self.adjusted is not None and self.adjusted < 1 - LEVEL


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, standard deviation and Student's 95 % interval of one value per seed."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return Estimate(float(data.mean()), None, None)
    from scipy import stats

    deviation = float(data.std(ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(data) - 1) * stats.sem(data))
    return Estimate(float(data.mean()), deviation, half)


def improvement(baseline: Sequence[float], improved: Sequence[float]) -> Improvement:
    """RI = (b - a) / a · 100 % of each seed (MAIL Sec. 4.1.3), its interval and p-value; not yet corrected.

    Args:
        baseline, improved: a and b, a metric of each seed in the same order.
    """
    ri = [relative_improvement(a, b) for a, b in zip(baseline, improved, strict=True)]
    mean, deviation, half = estimate(ri)
    if deviation is None:
        return Improvement(mean, None, None, None)
    return Improvement(mean, half, _p_value(ri), None)


def _p_value(differences: Sequence[float]) -> float:
    """Of the hypothesis that their mean is 0, by the one-sample t-test."""
    if len(set(differences)) == 1:
        # The test divides by their spread: differences that are all 0 speak for no difference, others against.
        return 1.0 if differences[0] == 0 else 0.0
    from scipy import stats

    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(improvements: Sequence[Improvement | None]) -> list[Improvement | None]:
    """With the p-values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        improvements: those of a table's rows, None where a row is a baseline; what has no p-value does not count.
    """
    known = [each.p for each in improvements if each is not None and each.p is not None]
    if not known:
        return list(improvements)
    from statsmodels.stats.multitest import multipletests

    adjusted = iter(multipletests(known, alpha=1 - LEVEL, method="holm")[1].tolist())
    return [each if each is None or each.p is None else each._replace(adjusted=next(adjusted)) for each in improvements]


class Lift(NamedTuple):
    """B over A."""

    a: float | None
    """The mean rate of arm A's users; None without users."""
    b: float | None
    lift: float | None
    """(b / a - 1) · 100 %; None where an arm has fewer than two users or nothing to count."""
    low: float | None
    high: float | None
    """The ends of its 95 % interval."""
    p: float | None
    """Two-sided, of the hypothesis that there is no lift; below 5 % exactly where the interval leaves out 0."""

    @property
    def significant(self) -> bool:
        """Whether a difference is shown at 5 %; this comparison alone is considered."""
        return self.p is not None and self.p < 1 - LEVEL


def lift(a: NDArray[np.float64], b: NDArray[np.float64]) -> Lift:
    """The lift by the delta method, for the logarithm of the ratio of two independent means.

    log(b̄ / ā) is about normal with variance s_a² / (n_a ā²) + s_b² / (n_b b̄²) (Deng, Knoblich and Lu, KDD 2018, for
    rates whose unit is the user). The interval exp(log(b̄ / ā) ± z · s) - 1 cannot go below -100 %.

    Args:
        a, b: [users of the arm], each user's rate, e.g. clicks / items shown.
    """
    means = [float(rates.mean()) if len(rates) else None for rates in (a, b)]
    if min(len(a), len(b)) < 2 or not means[0] or not means[1]:
        return Lift(means[0], means[1], None, None, None, None)
    from scipy import stats

    spread = math.sqrt(sum(float(x.var(ddof=1)) / (len(x) * m**2) for x, m in zip((a, b), means, strict=True) if m))
    log = math.log(means[1] / means[0])
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * spread
    # Without any spread the means are what they are.
    p = float(2 * stats.norm.sf(abs(log) / spread)) if spread else float(log == 0)
    value, low, high = (100 * math.expm1(x) for x in (log, log - half, log + half))
    return Lift(means[0], means[1], value, low, high, p)
