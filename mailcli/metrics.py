"""AUC, GAUC and RI: exact, vectorised, ties counted half. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class GroupAUC(NamedTuple):
    """GAUC with what had to be left out of it."""

    value: float
    """Σ_u n_u · AUC_u / Σ_u n_u; NaN where no user has both classes."""
    users: int
    """Users with both classes."""
    one_class_users: float
    """Share of users left out, because all their impressions have one label."""
    one_class_impressions: float
    """Share of impressions left out with them."""


def _check(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    y = np.asarray(labels)
    s = np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"labels and scores should be 1-D of one length. Received: {y.shape} and {s.shape}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels should be 0 or 1")
    if not np.isfinite(s).all():
        raise ValueError("scores should be finite")
    return y.astype(bool), s


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: P(score of a click > score of a non-click), ties counted half.

    The Mann-Whitney form, (Σ mid-ranks of clicks - n₁(n₁+1)/2) / (n₁ n₀); exact, no thresholds.

    Args:
        labels: [N], 0 or 1.
        scores: [N], any finite numbers; only their order counts.

    Returns:
        A number in [0, 1]; NaN where all labels are equal or there are none.
    """
    y, s = _check(labels, scores)
    value, _ = _auc_of_groups(np.zeros(len(y), np.int64), y, s)
    return float(value[0]) if len(value) else float("nan")


def gauc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> GroupAUC:
    """AUC within each user, averaged with the user's impressions as weights (MAIL Sec. 4.1.3, DMR).

    Args:
        users: [N], an integer per user, in any order.
        labels: [N], 0 or 1.
        scores: [N], finite.
    """
    y, s = _check(labels, scores)
    u = np.asarray(users)
    if u.shape != y.shape:
        raise ValueError(f"users should have the labels' shape. Received: {u.shape} and {y.shape}")
    value, count = _auc_of_groups(u, y, s)
    both = ~np.isnan(value)
    kept = int(count[both].sum())
    return GroupAUC(
        value=float((value[both] * count[both]).sum() / kept) if kept else float("nan"),
        users=int(both.sum()),
        one_class_users=float(1 - both.mean()) if len(value) else 0.0,
        one_class_impressions=1 - kept / len(y) if len(y) else 0.0,
    )


def _auc_of_groups(
    group: NDArray, y: NDArray[np.bool_], s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """AUC (NaN for one class) and size of every group, in ascending order of the group's number."""
    if not len(y):
        return np.empty(0), np.empty(0, np.int64)
    order = np.lexsort((s, group))
    group, y, s = group[order], y[order], s[order]
    new_group = np.r_[True, group[1:] != group[:-1]]
    # A tie block is a run of equal scores within one group; all in it share the mean of their ranks.
    new_block = new_group | np.r_[True, s[1:] != s[:-1]]
    block_start = np.flatnonzero(new_block)
    block_end = np.r_[block_start[1:], len(y)]
    group_start = np.flatnonzero(new_group)
    count = np.diff(np.r_[group_start, len(y)])
    of_block = np.cumsum(new_block) - 1
    mid_rank = (block_start + block_end + 1)[of_block] / 2 - np.repeat(group_start, count)
    clicks = np.add.reduceat(y.astype(np.float64), group_start)
    rank_sum = np.add.reduceat(np.where(y, mid_rank, 0.0), group_start)
    pairs = clicks * (count - clicks)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(pairs > 0, (rank_sum - clicks * (clicks + 1) / 2) / pairs, np.nan)
    return value, count


def relative_improvement(baseline: float, improved: float) -> float:
    """RI = (b - a) / a · 100 %, a = the baseline's metric, b = the improved model's (MAIL Sec. 4.1.3)."""
    return (improved - baseline) / baseline * 100
