"""Means over seeds with intervals, paired comparisons (SciPy's t-test, statsmodels' Holm correction), and A/B lift.

A seed decides the draw of new users, the initialization and the order of impressions, for both a method and its
baseline. So the two runs of a seed differ only in the method, and are compared as a pair.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.metrics.auc import relative_improvement

#: The coverage of every interval; a difference is significant if p < 1 - LEVEL.
LEVEL = 0.95
#: Bound of "no harm", in percent of the baseline's metric (ours: less than half of MAIL's own gains in new
#: users' AUC, 1.05 to 1.34%, and four to ten times the .05 to .12% that the paper's text calls a loss).
EQUIVALENCE_BOUND = 0.5


class Estimate(NamedTuple):
    """A mean over seeds with its interval."""

    mean: float
    deviation: float | None
    """The sample standard deviation (n - 1); None for one seed."""
    half_width: float | None
    """Half the width of the 95% interval, t(.975, n - 1) · s / √n; None for one seed."""


class Improvement(NamedTuple):
    """RI in percent: the mean over seeds, each compared with its own baseline."""

    mean: float
    half_width: float | None
    """Half the width of the paired difference's 95% interval; None for one seed."""
    p: float | None
    """Two-sided p-value of the paired t-test; None for one seed."""
    adjusted_p: float | None
    """p after Holm's correction for the rows of a table."""
    equivalence_p: float | None = None
    """p-value of the two one-sided tests for |RI| < EQUIVALENCE_BOUND; None for one seed."""

    @property
    def equivalent(self) -> bool:
        """Whether RI is within ±EQUIVALENCE_BOUND at 5%: no harm and no gain; never for one seed.

        Not the same as not significant, which also holds where an interval is too wide to tell.
        """
        return _is_significant(self.equivalence_p)

    @property
    def is_equal(self) -> bool:
        """Whether there is no difference with any of several seeds."""
        return self.mean == 0 and self.half_width == 0

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at 5%, corrected for the rows of the table; never for one seed."""
        return _is_significant(self.adjusted_p)


def _is_significant(p: float | None) -> bool:
    return p is not None and p < 1 - LEVEL


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, standard deviation and Student's 95% interval of one value per seed."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return Estimate(float(data.mean()), None, None)
    from scipy import stats

    deviation = float(data.std(ddof=1))
    half_width = float(stats.t.ppf((1 + LEVEL) / 2, len(data) - 1) * stats.sem(data))
    return Estimate(float(data.mean()), deviation, half_width)


def improvement(baseline: Sequence[float], improved: Sequence[float]) -> Improvement:
    """Mean RI = (b - a) / a · 100% over seeds (MAIL Sec. 4.1.3), with its interval and uncorrected p-value.

    Args:
        baseline, improved: a and b, one value of a metric per seed, in the same order.
    """
    differences = [relative_improvement(a, b) for a, b in zip(baseline, improved, strict=True)]
    mean, deviation, half_width = estimate(differences)
    if deviation is None:
        return Improvement(mean, None, None, None)
    return Improvement(mean, half_width, _p_value(differences), None, _equivalence_p(differences))


def improvement_if_defined(baseline: Sequence[float] | None, improved: Sequence[float] | None) -> Improvement | None:
    """The `improvement`; None where a value is missing, or a baseline is 0, as the GAUC of a few users can be."""
    if not baseline or not improved or 0 in baseline:
        return None
    return improvement(baseline, improved)


def _p_value(differences: Sequence[float]) -> float:
    """The one-sample t-test's p-value of a mean of 0."""
    if len(set(differences)) == 1:
        # The test would divide by a standard deviation of 0.
        return 1.0 if differences[0] == 0 else 0.0
    from scipy import stats

    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _equivalence_p(differences: Sequence[float]) -> float:
    """The larger p-value of two one-sided t-tests, of a mean above -EQUIVALENCE_BOUND and of one below the bound.

    TOST (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987).
    """
    if len(set(differences)) == 1:
        return float(abs(differences[0]) >= EQUIVALENCE_BOUND)
    from scipy import stats

    above = stats.ttest_1samp(differences, -EQUIVALENCE_BOUND, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, EQUIVALENCE_BOUND, alternative="less").pvalue
    return float(max(above, below))


def holm(improvements: Sequence[Improvement | None]) -> list[Improvement | None]:
    """The improvements with corrected p-values (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        improvements: one per row of a table, None for a baseline. Counted are those with a p-value, except a row
            that equals its baseline with every seed, as some methods do for old users by construction: nothing is
            tested there, and its p is 1.
    """
    p_values = [row.p for row in improvements if row is not None and row.p is not None and not row.is_equal]
    adjusted = iter(_holm_adjusted(p_values))
    return [
        row if row is None or row.p is None else row._replace(adjusted_p=1.0 if row.is_equal else next(adjusted))
        for row in improvements
    ]


def _holm_adjusted(p_values: Sequence[float]) -> list[float]:
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    # It ends with a collection of all garbage, .2 s once TensorFlow is loaded, which skips what is frozen.
    gc.freeze()
    try:
        adjusted: list[float] = multipletests(p_values, alpha=1 - LEVEL, method="holm")[1].tolist()
        return adjusted
    finally:
        gc.unfreeze()


class Lift(NamedTuple):
    """The lift of arm B over arm A of an A/B test."""

    a: float | None
    """The mean rate of arm A's users; None without users."""
    b: float | None
    """The same of arm B."""
    lift: float | None
    """(b / a - 1) · 100%; None if an arm has fewer than two users or a mean of 0."""
    low: float | None
    high: float | None
    """The ends of the lift's 95% interval."""
    p: float | None
    """Two-sided p-value of no lift; below 5% exactly when the interval excludes 0."""

    @property
    def significant(self) -> bool:
        """Whether the lift is significant at 5%, without a correction for several comparisons."""
        return _is_significant(self.p)


def lift(a: NDArray[np.float64], b: NDArray[np.float64]) -> Lift:
    """The lift, by the delta method for the logarithm of the ratio of two independent means.

    log(b̄ / ā) is approximately normal with variance s_a² / (n_a ā²) + s_b² / (n_b b̄²) (Deng, Knoblich and Lu, KDD
    2018, for rates per user). The interval exp(log(b̄ / ā) ± z · s) - 1 cannot go below -100%.

    Args:
        a, b: [users of the arm], each user's rate, e.g. clicks / shown items.
    """
    means = [float(rates.mean()) if len(rates) else None for rates in (a, b)]
    if min(len(a), len(b)) < 2 or not means[0] or not means[1]:
        return Lift(means[0], means[1], None, None, None, None)
    from scipy import stats

    standard_error = math.sqrt(
        sum(float(x.var(ddof=1)) / (len(x) * m**2) for x, m in zip((a, b), means, strict=True) if m)
    )
    log = math.log(means[1] / means[0])
    half_width = float(stats.norm.ppf((1 + LEVEL) / 2)) * standard_error
    # Rates that do not vary have no standard error: any lift is then certain.
    p = float(2 * stats.norm.sf(abs(log) / standard_error)) if standard_error else float(log == 0)
    value, low, high = (100 * math.expm1(x) for x in (log, log - half_width, log + half_width))
    return Lift(means[0], means[1], value, low, high, p)
