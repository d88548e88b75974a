"""Match: how well behavior, real or predicted by attributes, fits the target, added to the ranker's logit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from mailcli.data.seed_streams import MATCH_REFERENCE_USERS
from mailcli.models.coldstart._columns import group_keys, other_attributes, target_of_steps
from mailcli.models.coldstart._generated_steps import assign_first_rows
from mailcli.models.coldstart._kernel_regression import fit_weights, regress
from mailcli.models.coldstart._residual import (
    base_and_residual,
    check_clicks,
    fill_prepared,
    prepared_or_zero,
    stacked_regression,
)
from mailcli.models.coldstart._signatures import check_attributes
from mailcli.models.contracts import ColdStartMethod, TrainingRows
from mailcli.models.correspondence import value_vectors
from mailcli.models.features import Features, Spec, Tensor
from mailcli.utils.option_checks import check_least

Numbers = NDArray[np.float64]
Ids = NDArray[np.int64]

#: Users whose behavior is predicted at once in `prepare` (ours: 8 MB with the default of `references`).
USERS_AT_ONCE = 256
#: Behaviors whose vectors are added at once (ours: 13 MB with the default of `dim`).
BEHAVIORS_AT_ONCE = 100_000
#: κ is at most this, and at least its inverse (ours): beyond, one of the two counts for nothing.
MAX_PRIOR_WEIGHT = 1000.0


class HistoryMoments(NamedTuple):
    """The behavior of old users before their last training impressions, as vectors: that of `SeenBehaviors`."""

    sums: Numbers
    """[users, d], Σ y_i."""
    counts: Numbers
    """[users], n."""
    variance_within: float
    """σ_w², the unbiased mean of ||y_i - ȳ||² within users."""


class ColdStart(ColdStartMethod):
    """Match: the fit of target and taste, added to the ranker's logit (ours; empirical Bayes, Robbins, 1956).

    logit = α + γ s + ρ f(x),    s = <(Σ_i y_i + κ ŷ(a)) / (n + κ), y_t> / S

    y is the vector of a step's first field, e.g. its category, by correspondence analysis of the training histories,
    centered by the mean over all behaviors, in which unknown values count as 0: it knows which values go together from
    all behaviors, not from the few clicks, which never change it.
    ŷ(a) is the mean step of old users with the same attributes, as in `neighbors`, by the attributes' values instead of
    their embeddings. The sum is the expected taste of a user with these attributes and n behaviors (empirical Bayes):
    ŷ for a new user, and the real mean step the more behavior there is. κ = σ_w² / σ_b², the variance of steps within a
    user over that of users around their ŷ. S makes s of variance 1.

    As in `prior`, the ranker f learns the residual, with ρ = 0 at first. Before the first step, a logistic regression
    of the clicks on the predicted matches sets α and the initial γ; then G_B trains γ and ρ. In training, ŷ of an
    impression is that of the other users. Nothing is put in place of v: the ranker sees new users as they are.

    Args:
        dim: length of y (ours).
        references: at most this many old users are kept for ŷ, sampled by the seed (ours: 1 to 2 MB).
        steps: number of Adam steps that fit the attributes' weights in ŷ (ours).
    """

    #: The vectors of two datasets' histories have nothing in common but their length.
    continuable = False
    generates = True
    generates_numbers = True
    needs_old_users = True

    def __init__(self, dim: int = 32, references: int = 8192, steps: int = 200, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_least(1, dim=dim)
        check_least(2, references=references)
        check_least(0, steps=steps)
        self.settings = {"dim": dim, "references": references, "steps": steps}

    def build_for(self, spec: Spec) -> None:
        """Make the variables; every match is 0 until `prepare` sets them.

        Raises:
            ValueError: the user id is the only attribute.
        """
        check_attributes(spec)
        self.attributes, self.target = other_attributes(spec), target_of_steps(spec)
        fields = sum(column.values for column in self.attributes)
        references, dim = self.settings["references"], self.settings["dim"]
        self.vectors = self._variable("vectors", spec.vocabulary_sizes[spec.step_vocabulary], dim)
        self.keys = self._variable("keys", references, fields, dtype="int32")
        self.sums, self.counts = self._variable("sums", references, dim), self._variable("counts", references)
        self.field_weights = self._variable("field_weights", fields)
        # Divisors are 1, so that a match is 0, not 0 / 0, until then.
        ones: dict[str, Any] = {"initializer": "ones"}
        self.regression_prior_weight = self._variable("regression_prior", **ones)
        self.history_prior_weight = self._variable("history_prior", **ones)
        self.scale = self._variable("scale", **ones)
        self.intercept = self._variable("intercept")
        self.gamma, self.gain = self._variable("gamma", trainable=True), self._variable("gain", trainable=True)

    def _variable(self, name: str, *shape: int, **options: Any) -> Any:
        defaults: dict[str, Any] = {"initializer": "zeros", "trainable": False, "dtype": "float32"}
        return self.add_weight(shape=shape, autocast=False, name=name, **{**defaults, **options})

    def prepare(self, training: TrainingRows) -> NDArray[np.float32]:
        """Fit all but γ and ρ; [N], the predicted match <ŷ, y_t> / S of each impression, ŷ by the other users.

        Raises:
            MailError: all impressions are clicks, or none.
        """
        check_clicks("match", training)
        user, ids, left_out = training.behaviors()
        self._fit_vectors(user, ids, training.seed)
        histories = self._histories(user, ids, len(training.attributes))
        predicted = self._fit_regression(group_keys(self.attributes, training.attributes), histories, training.seed)
        prior_weight = history_prior_weight(histories, predicted)
        self.history_prior_weight.assign(prior_weight)
        tastes = (histories.sums + prior_weight * predicted) / (histories.counts + prior_weight)[:, None]
        target = self.vectors.numpy()[self.target.from_group(training.target)[training.items, 0]]
        matches = (tastes[training.users] * target).sum(axis=1)
        # Those whose behavior is left out have no real match here. Above 0 (ours), so that a match is finite where all
        # are 0.
        self.scale.assign(np.std(matches[~np.isin(training.users, left_out)]) + 1e-12)
        prepared = (predicted[training.users] * target).sum(axis=1, keepdims=True) / self.scale.numpy()
        # Users do not like what fits them less: a negative weight is noise, and left out.
        intercept, (weight,) = stacked_regression(prepared, training.clicks)
        self.intercept.assign(intercept)
        self.gamma.assign(weight)
        return prepared[:, 0].astype(np.float32)

    def _fit_vectors(self, user: Ids, ids: Ids, seed: int) -> None:
        """y, centered by the mean over all behaviors, in which unknown values count as 0.

        Padding, unknown and values without behavior have 0.
        """
        vectors = value_vectors(user, ids, self.vectors.shape[0], self.settings["dim"], seed)
        vectors[vectors.any(axis=1)] -= _mean(vectors, ids)
        self.vectors.assign(vectors)

    def _histories(self, user: Ids, ids: Ids, users: int) -> HistoryMoments:
        """What behaviors [N] say of each user: `user` and `ids` as from `TrainingRows.behaviors`."""
        vectors = self.vectors.numpy().astype(np.float64)
        counts = np.bincount(user, minlength=users).astype(np.float64)
        sums = sparse.csr_array((np.ones(len(user)), (user, ids)), (users, len(vectors))) @ vectors
        squares = (vectors**2).sum(axis=1)[ids].sum()
        squares_of_means = ((sums**2).sum(axis=1) / np.maximum(counts, 1)).sum()
        return HistoryMoments(sums, counts, (squares - squares_of_means) / max(len(user) - np.count_nonzero(counts), 1))

    def _fit_regression(self, keys: Ids, histories: HistoryMoments, seed: int) -> Numbers:
        """Keep the reference users and learn what each attribute says; [users, d], each one's ŷ by the others."""
        rng = np.random.default_rng([seed, MATCH_REFERENCE_USERS])
        references = np.sort(rng.permutation(np.flatnonzero(histories.counts))[: self.settings["references"]])
        kept_keys = tf.constant(keys[references], tf.int32)
        sums, counts = (tf.constant(x[references], tf.float32) for x in (histories.sums, histories.counts))
        for weight, rows in ((self.keys, kept_keys), (self.sums, sums), (self.counts, counts)):
            assign_first_rows(weight, rows)

        def kernel_of(users: Tensor, weights: Tensor) -> Tensor:
            return kernel(tf.gather(kept_keys, users), kept_keys, weights)

        steps = self.settings["steps"] if len(references) > 1 else 0
        mean = tf.zeros([self.settings["dim"]])
        weights, prior_weight = fit_weights(kernel_of, keys.shape[1], sums, counts, mean, steps, rng)
        self.field_weights.assign(weights)
        self.regression_prior_weight.assign(prior_weight)
        # For a user who is not a reference, an index of none: nobody is left out.
        own_reference = np.full(len(keys), len(references))
        own_reference[references] = np.arange(len(references))
        all_keys = tf.constant(keys, tf.int32)
        parts = (slice(start, start + USERS_AT_ONCE) for start in range(0, len(keys), USERS_AT_ONCE))
        return np.concatenate([self.predict_tastes(all_keys[part], own_reference[part]) for part in parts]).astype(
            np.float64
        )

    def predict_tastes(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """ŷ [B, d] of users with these attributes [B, F].

        Args:
            keys: their ids of attributes.
            left_out: [B], the index of the reference user that is left out for each; None for nobody.
        """
        common = kernel(keys, self.keys.value, self.field_weights.value)
        if left_out is not None:
            common *= 1 - tf.one_hot(left_out, self.keys.shape[0])
        mean = tf.zeros([self.settings["dim"]])
        return regress(common, self.sums.value, self.counts.value, mean, self.regression_prior_weight.value)

    def match(self, features: Features) -> Tensor:
        """s [B]; without a predicted match in `prepared`, that of ŷ = 0."""
        target = tf.gather(self.vectors.value, features.target_id)
        real = tf.reduce_sum(tf.gather(self.vectors.value, features.step_ids), axis=1)
        counts = tf.math.count_nonzero(features.behavior_mask, axis=1, dtype=tf.float32)
        predicted = prepared_or_zero(features)
        prior_weight = self.history_prior_weight.value
        real_match = tf.reduce_sum(real * target, axis=1) / self.scale.value
        return (real_match + prior_weight * predicted) / (counts + prior_weight)

    def complete(self, features: Features, training: bool = False) -> Features:
        """Put the predicted match <ŷ, y_t> / S into `prepared` where `prepare` has given none."""
        del training

        def predicted_match(keys: Tensor, users: Tensor, target: Tensor) -> Tensor:
            predicted = tf.gather(self.predict_tastes(keys), users)
            return tf.reduce_sum(predicted * tf.gather(self.vectors.value, target), axis=1) / self.scale.value

        return fill_prepared(features, self.attributes, predicted_match)

    def logits(self, ranker: Callable[..., Tensor], features: Features, training: bool = False) -> Tensor:
        """α + γ s + ρ f(x); a logit of conversions stays as it is."""
        base = self.intercept + self.gamma * self.match(features)
        return base_and_residual(base, self.gain, ranker(features, training=training))


def _mean(vectors: NDArray[np.float32], ids: Ids) -> NDArray[np.float32]:
    """The mean [d] of some rows, added one after the other, as `vectors[ids].mean(axis=0)` does, in little memory."""
    total = np.zeros((1, vectors.shape[1]), np.float32)
    for start in range(0, len(ids), BEHAVIORS_AT_ONCE):
        part = vectors[ids[start : start + BEHAVIORS_AT_ONCE]]
        total = np.add.reduce(np.concatenate([total, part]), axis=0, keepdims=True)
    mean: NDArray[np.float32] = total[0] / np.float32(len(ids))
    return mean


def history_prior_weight(histories: HistoryMoments, predicted: Numbers) -> float:
    """κ = σ_w² / σ_b²; σ_b² is the mean of ||ȳ - ŷ||² - σ_w² / n over users with behavior."""
    seen = histories.counts > 0
    counts = histories.counts[seen]
    errors = ((histories.sums[seen] / counts[:, None] - predicted[seen]) ** 2).sum(axis=1)
    # Above 0 (ours): where histories are short, the estimate can be negative.
    variance_between = max(float((errors - histories.variance_within / counts).mean()), 1e-12)
    return float(np.clip(histories.variance_within / variance_between, 1 / MAX_PRIOR_WEIGHT, MAX_PRIOR_WEIGHT))


def kernel(query: Tensor, keys: Tensor, weights: Tensor) -> Tensor:
    """K = exp(Σ_f w_f ([q_f = k_f] - 1)), [B, R].

    Args:
        query: [B, F], ids of attributes; one of several values has several columns.
        keys: [R, F].
        weights: [F], w.
    """
    total = -tf.reduce_sum(weights)
    for column in range(keys.shape[1]):
        total += weights[column] * tf.cast(query[:, column, None] == keys[None, :, column], tf.float32)
    return tf.exp(total)
