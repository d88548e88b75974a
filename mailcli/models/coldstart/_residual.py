"""A ranker that learns what a simpler score leaves: logit = base + ρ f(x), with ρ = 0 at first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mailcli.errors import MailError
from mailcli.models.coldstart._columns import Column
from mailcli.models.contracts import TrainingRows
from mailcli.models.features import Features, Tensor, first_of_each_user

#: ρ is this times a variable (ours): with Adam's usual .001, 100 steps can bring it from 0 to 1.
GAIN = 10.0


def base_and_residual(base: Tensor, gain: Tensor, output: Any) -> Any:
    """The output of a ranker with `base` [B] + GAIN `gain` times its click logit; others stay as they are."""
    click = output["click"] if isinstance(output, dict) else output
    logit = base + GAIN * gain * tf.cast(click, tf.float32)
    return {**output, "click": logit} if isinstance(output, dict) else logit


def fill_prepared(
    features: Features, columns: Sequence[Column], score: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Features:
    """Put scores into `prepared` where `prepare` has given none.

    Args:
        features: the batch.
        columns: the attributes on which a score depends, with F ids.
        score: ids of attributes [users, F], each user of the batch once; the rows of the impressions' users in it [M];
            and the targets' ids [M] -> [M].
    """
    unknown = tf.where(tf.math.is_nan(features.prepared))[:, 0]
    first, user_index = first_of_each_user(features.user, unknown)
    rows = tf.gather(features.table_rows, first)
    keys = tf.concat([column.from_table_rows(rows) for column in columns], axis=1)
    scores = score(keys, user_index, tf.gather(features.target_id, unknown))
    return features._replace(prepared=tf.tensor_scatter_nd_update(features.prepared, unknown[:, None], scores))


def prepared_or_zero(features: Features) -> Tensor:
    """`prepared` [B], 0 where there is none."""
    return tf.where(tf.math.is_nan(features.prepared), 0.0, features.prepared)


def check_clicks(method: str, training: TrainingRows) -> None:
    """Refuse training impressions from which the weight of a base cannot be learned.

    Raises:
        MailError: all of them are clicks, or none.
    """
    clicks = int(training.clicks.sum())
    if clicks in {0, len(training.clicks)}:
        raise MailError(
            f"cold-start method '{method}': {clicks} of the {len(training.clicks)} training impressions are clicks, so "
            "there is nothing to fit. Expected some with and some without a click."
        )


def stacked_regression(values: NDArray[np.float64], click: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """The intercept and weights [m] of a logistic regression (scikit-learn's, C = 1) of clicks [n] on values [n, m].

    Values with a negative weight are left out, the most negative first: their weight is 0 (Stacked Regressions,
    Breiman, 1996).
    """
    used = list(range(values.shape[1]))
    while used:
        regression = LogisticRegression().fit(values[:, used], click)
        weights = regression.coef_[0]
        if weights.min() >= 0:
            all_weights = np.zeros(values.shape[1])
            all_weights[used] = weights
            return float(regression.intercept_[0]), all_weights
        used.pop(int(weights.argmin()))
    rate = float(click.mean())
    return float(np.log(rate) - np.log1p(-rate)), np.zeros(values.shape[1])
