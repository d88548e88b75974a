"""AUC, GAUC and RI: exact and vectorized; ties count half. NumPy only."""

from __future__ import annotations

from decimal import Decimal
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Larger whole numbers are not all float64.
_LARGEST_EXACT = 2**53
#: What a score or label may be in an array of objects.
_NUMBERS = (Real, Decimal, np.bool_)


class GroupAUC(NamedTuple):
    """GAUC, and what it excludes."""

    value: float
    """Σ_u n_u · AUC_u / Σ_u n_u; NaN if no user has both classes."""
    users: int
    """The number of users with both classes."""
    one_class_user_share: float
    """Share of users excluded because all their impressions have the same label."""
    one_class_impression_share: float
    """Share of impressions excluded with them."""


class AUCByUser(NamedTuple):
    """AUC of each user, in ascending order of users."""

    auc: NDArray[np.float64]
    """[users]; NaN if all impressions of a user have the same label."""
    impressions: NDArray[np.int64]
    """[users], the number of impressions"""


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: P(score of a click > score of a non-click); ties count half.

    Computed exactly, without thresholds, as the Mann-Whitney statistic: Σ over clicks (non-clicks below + ½ non-clicks
    tied) / (n₁ n₀). Takes O(N log N) time.

    Args:
        labels: [N], 0 or 1.
        scores: [N], finite; only their order matters. float32 is sorted as float32, which is faster.

    Returns:
        A number in [0, 1]; NaN if all labels are equal or there are none.

    Raises:
        ValueError: the shapes differ, a label is neither 0 nor 1, a score is not a finite number, or a value is
            masked.
    """
    y, s = _check(labels, scores)
    clicks, others = np.sort(s[y]), np.sort(s[~y])
    if not len(clicks) or not len(others):
        return float("nan")
    return float(_twice_below(others, clicks).sum() / (2 * len(clicks) * len(others)))


def gauc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> GroupAUC:
    """AUC of each user, averaged with the numbers of impressions as weights (MAIL Sec. 4.1.3, DMR).

    Args:
        users: [N], an integer or a string per impression, in any order.
        labels: [N], 0 or 1.
        scores: [N], finite.

    Raises:
        ValueError: the shapes differ, users are neither integers nor strings, a label is neither 0 nor 1, a score is
            no number or not finite, or a value is masked.
    """
    value, count = auc_by_user(users, labels, scores)
    both = ~np.isnan(value)
    included, impressions = int(count[both].sum()), int(count.sum())
    return GroupAUC(
        value=float(value[both] @ count[both] / included) if included else float("nan"),
        users=int(both.sum()),
        one_class_user_share=float(1 - both.mean()) if len(value) else 0.0,
        one_class_impression_share=1 - included / impressions if impressions else 0.0,
    )


def auc_by_user(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> AUCByUser:
    """AUC of each user, by sorting all non-clicks once by user and score.

    Args:
        users: [N], an integer or a string per impression, in any order.
        labels: [N], 0 or 1.
        scores: [N], finite.

    Returns:
        One entry per user with impressions.

    Raises:
        ValueError: as `gauc`.
    """
    y, s = _check(labels, scores)
    u = _from_zero(users, len(y))
    count = np.bincount(u)
    clicks = np.bincount(u[y], minlength=len(count))
    others = count - clicks
    # NumPy sorts complex numbers by the real part, then by the imaginary part: here by user, then by score.
    key = np.empty(len(y), np.complex128)
    key.real, key.imag = u, s
    clicked = np.sort(key[y])
    user = clicked.real.astype(np.int64)
    below = _twice_below(np.sort(key[~y]), clicked) - 2 * (np.cumsum(others) - others)[user]
    pairs = clicks * others
    value = np.full(len(count), np.nan)
    # bincount adds floats; these are whole numbers below 2^53, so the sum is exact.
    np.divide(np.bincount(user, weights=below, minlength=len(count)), 2 * pairs, out=value, where=pairs > 0)
    return AUCByUser(value[count > 0], count[count > 0])


def _twice_below(others: NDArray, clicks: NDArray) -> NDArray[np.int64]:
    """For each click, twice the number of non-clicks below it plus the number of ties; both inputs are sorted."""
    return np.searchsorted(others, clicks, "left") + np.searchsorted(others, clicks, "right")


def _check(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    y, s = _plain(labels, "labels"), _numbers(_plain(scores, "scores"))
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"labels and scores should be 1-D of one length. Received: {y.shape} and {s.shape}")
    # pandas' NA is neither equal to 0 nor unequal.
    is_number = y.dtype.kind != "O" or all(isinstance(label, _NUMBERS) for label in y)
    if not (is_number and ((y == 0) | (y == 1)).all()):
        raise ValueError("labels should be 0 or 1")
    if not np.isfinite(s).all():
        raise ValueError("scores should be finite")
    return y.astype(bool), s


def _numbers(scores: NDArray) -> NDArray[np.floating]:
    """Scores as float32 if they are, otherwise as float64; what float64 cannot tell apart, by rank: only order matters.

    Raises:
        ValueError: some are no numbers, or exceed all floats.
    """
    if scores.dtype.kind not in "buifO":
        raise ValueError(f"scores should be numbers. Received: {scores.dtype}")
    if scores.dtype in {np.dtype(np.float32), np.dtype(np.float64)}:
        return scores
    if scores.dtype.kind == "O":
        others = {type(score).__name__ for score in scores.flat if not isinstance(score, _NUMBERS)}
        if others:
            raise ValueError(f"scores should be numbers. Received: {', '.join(sorted(others))}")
    try:
        floats = scores.astype(np.float64, copy=False)
    except OverflowError:
        raise ValueError("scores should be finite") from None
    if not np.isfinite(floats).all():
        return floats
    if scores.dtype.kind in "ui":
        # NumPy compares them with floats as floats.
        is_exact = not len(scores) or max(abs(int(scores.min())), abs(int(scores.max()))) <= _LARGEST_EXACT
    else:
        is_exact = bool((floats == scores).all())
    if is_exact:
        return floats
    return np.unique(scores, return_inverse=True)[1].reshape(scores.shape).astype(np.float64)


def _plain(values: ArrayLike, name: str) -> NDArray:
    """As an array, unless some of it is masked (ValueError): NumPy would take what is behind the mask."""
    if np.ma.is_masked(values):
        raise ValueError(f"{name} should have no masked values. Leave these impressions out")
    return np.asarray(values)


def _from_zero(users: ArrayLike, rows: int) -> NDArray[np.int64]:
    """[rows], the users renumbered from 0 in ascending order; no number exceeds the number of rows."""
    u = _plain(users, "users")
    if u.shape != (rows,):
        raise ValueError(f"users should have the labels' shape. Received: {u.shape} and {(rows,)}")
    if not rows:
        return np.empty(0, np.int64)
    if u.dtype.kind == "U" or (u.dtype.kind == "O" and all(isinstance(user, str) for user in u)):
        return np.unique(u.astype(str), return_inverse=True)[1]
    if u.dtype.kind == "O":
        others = {type(user).__name__ for user in u if not isinstance(user, Integral) or isinstance(user, bool)}
        if others:
            raise ValueError(f"users should all be integers, or all be strings. Received: {', '.join(sorted(others))}")
        return np.unique(u, return_inverse=True)[1]
    if not np.issubdtype(u.dtype, np.integer):
        raise ValueError(f"users should be integers or strings. Received: {u.dtype}")
    low = u.min()
    if int(u.max()) - int(low) < rows:
        # Ids usually lie close together, so that no sort is needed; differences are right beyond 2^63, too.
        return u.astype(np.int64) - low.astype(np.int64)
    return np.unique(u, return_inverse=True)[1]


def relative_improvement(baseline: float, improved: float) -> float:
    """RI = (b - a) / a · 100%, a = the baseline's metric, b = the improved model's (MAIL Sec. 4.1.3).

    NaN for a baseline of 0.
    """
    return (improved - baseline) / baseline * 100 if baseline else float("nan")
