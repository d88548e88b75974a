"""The prior of an impression, a statistic of the training split, as the logit that the ranker starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID
from mailcli.metrics.biases import PSEUDO_RESIDUALS, fit_biases, shrunk_means
from mailcli.models.coldstart._columns import Column, columns_of
from mailcli.models.coldstart._residual import base_and_residual, check_clicks, stacked_regression
from mailcli.models.contracts import ColdStartMethod, TrainingRows
from mailcli.models.features import Features, Spec, Tensor
from mailcli.utils.option_checks import check_least

Ids = NDArray[np.int64]
Numbers = NDArray[np.float64]

#: The target's field that is the item's id: every source has it.
ITEM = "item"
#: Pairs of an attribute and a category with more combinations are left out (ours: 4 MB each).
MAX_CELLS = 1_000_000


class Columns(NamedTuple):
    """What a prior depends on."""

    item: Column
    """The items' id."""
    pairs: list[tuple[Column, Column]]
    """Attributes x categories."""


class Statistics(NamedTuple):
    """The two parts of a prior, fitted to some impressions."""

    columns: Columns
    item: Numbers
    """[ids], the bias of each item, 0 for padding and unknown."""
    pairs: list[Numbers]
    """For each pair of columns [ids, ids], the mean of what item biases and the pairs before it leave unexplained."""

    def values(self, training: TrainingRows, rows: NDArray[np.bool_]) -> Numbers:
        """[n, 2], item bias and sum of the pairs' means, of some impressions."""
        user, item = training.users[rows], training.items[rows]
        total = np.zeros(len(user))
        for (left, right), means in zip(self.columns.pairs, self.pairs, strict=True):
            cells, known = _cells(
                left.from_group(training.attributes)[user], right.from_group(training.target)[item], means.shape[1]
            )
            total += _mean_of_known(means.ravel(), cells, known)
        return np.column_stack([self.item[self.columns.item.from_group(training.target)[item, 0]], total])


class ColdStart(ColdStartMethod):
    """Prior: item bias and attribute group x category, added to the ranker's logit (Bell and Koren, ICDM 2007).

    logit = α + β b_i + γ Σ m(a_f, t_g) + ρ f(x). b_i is the item's click rate without its users' bias, m what users
    with attribute value a_f leave of category t_g's clicks: the shrunk means of the trivial row `attribute-category`.
    α, β and γ are a logistic regression on both, in which a negative weight becomes 0 (Breiman, 1996). The ranker f
    learns the residual, which starts at zero: ρ = 0 (ReZero, Bachlechner et al., UAI 2021). In training, an
    impression's prior comes from the users of the other folds, so it knows no label of its own user.

    Args:
        groups: whether to add the means by attribute group and category. Categories are the target's fields with at
            most half as many values as the training split has items (the row `attribute-category` counts all items).
        folds: how many folds of users (ours).
    """

    #: Training starts from the prior of its own dataset, so scoring must, too.
    continuable = False

    def __init__(self, groups: bool = True, folds: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_least(2, folds=folds)
        self.groups, self.folds = groups, folds

    def build_for(self, spec: Spec) -> None:
        """Make the tables, by id; the values of padding and unknown stay zero."""
        self.columns = _columns(spec, self.groups)
        sizes = spec.vocabulary_sizes
        settings: dict[str, Any] = {"initializer": "zeros", "autocast": False, "dtype": "float32"}
        self.item = self.add_weight(
            shape=(sizes[self.columns.item.vocabulary],), trainable=False, name="item", **settings
        )
        self.pairs = [
            self.add_weight(
                shape=(sizes[left.vocabulary], sizes[right.vocabulary]), trainable=False, name="pairs", **settings
            )
            for left, right in self.columns.pairs
        ]
        self.intercept = self.add_weight(shape=(), trainable=False, name="intercept", **settings)
        self.gain = self.add_weight(shape=(), trainable=True, name="gain", **settings)

    def prepare(self, training: TrainingRows) -> NDArray[np.float32]:
        """Fit the prior; [N], that of each impression by the users of the other folds, as a logit."""
        check_clicks("prior", training)
        fold = training.folds(self.folds)
        values = np.empty((len(fold), 2))
        for number in range(self.folds):
            values[fold == number] = self._fit(training, fold != number).values(training, fold == number)
        intercept, (item_weight, pairs_weight) = stacked_regression(values, training.clicks)
        fitted = self._fit(training, np.ones(len(fold), bool))
        self.intercept.assign(intercept)
        self.item.assign(item_weight * fitted.item)
        for weight, table in zip(self.pairs, fitted.pairs, strict=True):
            weight.assign(pairs_weight * table)
        prepared: NDArray[np.float32] = (intercept + values @ (item_weight, pairs_weight)).astype(np.float32)
        return prepared

    def _fit(self, training: TrainingRows, rows: NDArray[np.bool_]) -> Statistics:
        """The statistics of some impressions: the biases, then pair by pair what is left."""
        columns, users = self.columns, len(training.attributes)
        user, item, click = training.users[rows], training.items[rows], training.clicks[rows].astype(np.float64)
        item_id = columns.item.from_group(training.target)[item, 0]
        biases = fit_biases(user, item_id, click, users, self.item.shape[0])
        residual = biases.residual(user, item_id, click)
        tables: list[Numbers] = []
        for (left, right), weight in zip(columns.pairs, self.pairs, strict=True):
            cells, known = _cells(
                left.from_group(training.attributes)[user], right.from_group(training.target)[item], weight.shape[1]
            )
            repeated = np.broadcast_to(residual[:, None], cells.shape)[known]
            means = shrunk_means(cells[known], repeated, weight.shape[0] * weight.shape[1], PSEUDO_RESIDUALS)
            residual = residual - _mean_of_known(means, cells, known)
            tables.append(means.reshape(weight.shape))
        return Statistics(columns, np.where(np.arange(len(biases.item)) >= FIRST_ID, biases.item, 0), tables)

    def prior(self, features: Features) -> Tensor:
        """[B], the logit to start from: that of `prepare` for a training impression, else that of the tables."""
        rows, columns = features.table_rows, self.columns
        prior = self.intercept + tf.gather(self.item.value, columns.item.from_table_rows(rows)[:, 0])
        for (left, right), table in zip(columns.pairs, self.pairs, strict=True):
            pairs = tf.stack(_combinations(left.from_table_rows(rows), right.from_table_rows(rows)), axis=-1)
            known = tf.reduce_all(pairs >= FIRST_ID, axis=-1)
            count = tf.maximum(tf.math.count_nonzero(known, axis=1, dtype=tf.float32), 1)
            prior += tf.reduce_sum(tf.gather_nd(table.value, pairs), axis=1) / count
        return tf.where(tf.math.is_nan(features.prepared), prior, features.prepared)

    def logits(self, ranker: Callable[..., Tensor], features: Features, training: bool = False) -> Tensor:
        """The prior and, weighted, the ranker's click logit; a logit of conversions stays as it is."""
        return base_and_residual(self.prior(features), self.gain, ranker(features, training=training))

    def complete(self, features: Features, training: bool = False) -> Features:
        """The features unchanged."""
        del training
        return features


def _columns(spec: Spec, groups: bool) -> Columns:
    """The columns of the prior (ValueError if the dataset lacks one)."""
    sizes = spec.vocabulary_sizes
    attributes, target = columns_of(spec, "attributes"), columns_of(spec, "target")
    if ITEM not in target:
        raise ValueError(f"needs the items' id as their field '{ITEM}', which the dataset lacks")
    item = target[ITEM]
    most = (sizes[item.vocabulary] - FIRST_ID) / 2
    pairs = [
        (attribute, category)
        for attribute in attributes.values()
        if groups and attribute.vocabulary != spec.schema.user
        for category in target.values()
        if sizes[category.vocabulary] - FIRST_ID <= most
        and sizes[attribute.vocabulary] * sizes[category.vocabulary] <= MAX_CELLS
    ]
    if groups and not pairs:
        raise ValueError(
            "`groups` needs an attribute and a category of the items with at most "
            f"{MAX_CELLS:,} combinations, which the dataset lacks. Without them: --set cold_start.groups=false"
        )
    return Columns(item, pairs)


def _cells(left: Ids, right: Ids, width: int) -> tuple[Ids, NDArray[np.bool_]]:
    """[n, columns of left x columns of right], left * width + right of ids; and which are of two known values."""
    left, right = left[:, :, None], right[:, None, :]
    known = (left >= FIRST_ID) & (right >= FIRST_ID)
    return (left * width + right).reshape(len(left), -1), known.reshape(len(left), -1)


def _mean_of_known(means: Numbers, cells: Ids, known: NDArray[np.bool_]) -> Numbers:
    """[n], the mean of an impression's pairs that are known; 0 without any."""
    mean: Numbers = (means[cells] * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


def _combinations(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Every value of left [B, m] with every one of right [B, n]: two tensors [B, m n]."""
    return tf.repeat(left, right.shape[1], axis=1), tf.tile(right, [1, left.shape[1]])
