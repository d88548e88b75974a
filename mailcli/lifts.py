"""The lift of one arm of users over another, its interval and p-value; users are the unit, for they are drawn."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.intervals import LEVEL


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
