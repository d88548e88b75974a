"""Log loss, normalized entropy and calibration error: whether probabilities are right, not only in order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The names of the parts of a Calibration among the metrics of a result.
CALIBRATION_METRICS = ("log loss", "NE", "ECE")
#: Equal-mass bins of the calibration error (ours: the usual number; Guo et al., ICML 2017, use 15 of equal width).
BINS = 15
#: Probabilities are kept this far from 0 and 1, where the logarithm is infinite: the precision of float32 scores.
_MARGIN = float(np.finfo(np.float32).eps)


class Calibration(NamedTuple):
    """How well probabilities fit the labels; lower is better."""

    log_loss: float
    """-1/N Σ y ln p + (1 - y) ln(1 - p); NaN without impressions."""
    normalized_entropy: float
    """The log loss divided by the entropy of the click rate: 1 is what that rate, predicted for all, reaches.

    NaN if all labels are equal. He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD 2014,
    Eq. (1).
    """
    calibration_error: float
    """Σ_b n_b/N |mean label - mean p| over BINS bins of equally many impressions; NaN without impressions."""


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> Calibration:
    """Log loss, normalized entropy and expected calibration error of predicted probabilities.

    Args:
        labels: [N], 0 or 1.
        probabilities: [N], from 0 to 1; computed with as float64.

    Raises:
        ValueError: the shapes differ, a label is neither 0 nor 1, or a probability is not from 0 to 1.
    """
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise ValueError(f"labels and probabilities should be 1-D of one length. Received: {y.shape} and {p.shape}")
    if not ((y == 0) | (y == 1)).all():
        raise ValueError("labels should be 0 or 1")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities should be from 0 to 1")
    if not len(y):
        return Calibration(*[float("nan")] * 3)
    loss, rate = _log_loss(y, p), y.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)) if 0 < rate < 1 else float("nan")
    return Calibration(loss, float(loss / entropy), _calibration_error(y, p))


def _log_loss(y: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    of_label = np.where(y == 1, p, 1 - p)
    return float(-np.log(np.clip(of_label, _MARGIN, 1 - _MARGIN)).mean())


def _calibration_error(y: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """The bins end at quantiles of p, so equal probabilities share a bin, and the order of impressions does not matter.

    (The bins are those of scikit-learn's `calibration_curve(strategy="quantile")`, which does not return their sizes.)
    """
    inner_edges = np.quantile(p, np.linspace(0, 1, BINS + 1))[1:-1]
    excess = np.bincount(np.searchsorted(inner_edges, p), weights=y - p)
    return float(np.abs(excess).sum() / len(y))
