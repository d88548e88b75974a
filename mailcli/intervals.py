"""Means over seeds, their intervals, and paired comparisons: Student's t by SciPy, Holm's correction by statsmodels.

A seed decides the draw of new users, the initialisation and the order of impressions, alike for a method and its
baseline: what differs between the two runs of a seed is the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mailcli.metrics import relative_improvement

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
