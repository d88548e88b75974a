"""MAIL's tower as a distribution over behavior: how much likelier the target is for a user with these attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from mailcli.data.schema import FIRST_ID
from mailcli.data.seed_streams import BEHAVIOR_NETWORKS
from mailcli.models.coldstart._behavior_network import BehaviorNetwork, Histories, Popularity, train
from mailcli.models.coldstart._columns import group_keys, other_attributes, target_of_steps
from mailcli.models.coldstart._residual import (
    base_and_residual,
    check_clicks,
    fill_prepared,
    prepared_or_zero,
    stacked_regression,
)
from mailcli.models.coldstart._signatures import check_attributes
from mailcli.models.contracts import ColdStartMethod, TrainingRows, user_folds
from mailcli.models.features import Features, Spec, Tensor
from mailcli.utils.option_checks import check_least, check_rates

#: A behavior's first field has at most this many values (ours: 100 MB for the probabilities of a batch of users).
MOST_VALUES = 100_000


class ColdStart(ColdStartMethod):
    """MAIL, softmax: how much likelier attributes make the target (ours; after Feng et al., CIKM 2021).

    logit = α + γ s + ρ f(x),    s = log P(y_t | a) - log P(y_t),    P(· | a) = softmax(W h(a) + b)

    y is the first field of a behavior, e.g. its category. P(y | a) is what users with attributes a turn to next, as a
    network tells from all behaviors of old users; MAIL's tower predicts embeddings of steps instead, and learns from
    the histories of impressions. h is a layer per width, LeakyReLU(Dense(x)), of the attributes' values except the user
    id. P(y) is how often y occurs among all behaviors. A value without behaviors has s = 0.

    As in `match`, nothing is put in place of v, and the ranker f learns the residual, with ρ = 0 at first. Before the
    first step, a logistic regression of the clicks on s sets α and the initial γ; then G_B trains γ and ρ. In training,
    both P of an impression are those of users of other folds. A fold decides only how long its network learns: until it
    tells most of the fold's behavior. The one for all other impressions learns for as many epochs, in the median.

    Args:
        units: widths of the hidden layers; () for none (ours).
        dropout: dropout rate after each hidden layer (ours).
        epochs: at most so many epochs of each network (ours).
        folds: how many folds of users (ours).
    """

    #: 2: in training, P(y) is that of the other folds, too.
    training_version = 2
    #: The values of two datasets' behaviors have nothing in common.
    continuable = False
    generates = True
    generates_numbers = True
    needs_old_users = True

    def __init__(
        self, units: Sequence[int] = (256,), dropout: float = 0.5, epochs: int = 30, folds: int = 3, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if units and min(units) < 1:
            raise ValueError(f"`units` should be widths of 1 or more. Received: {tuple(units)}")
        check_rates(dropout=dropout)
        check_least(1, epochs=epochs)
        check_least(2, folds=folds)
        self.units, self.dropout, self.epochs, self.folds = tuple(units), dropout, epochs, folds

    def build_for(self, spec: Spec) -> None:
        """Make the variables; every s is 0 until `prepare` sets them.

        Raises:
            ValueError: the user id is the only attribute, or behaviors have too many values.
        """
        check_attributes(spec)
        self.values = spec.vocabulary_sizes[spec.step_vocabulary]
        if self.values > MOST_VALUES:
            raise ValueError(
                f"needs a first field of behaviors with at most {MOST_VALUES:,} values. '{spec.step_vocabulary}' has "
                f"{self.values:,}"
            )
        self.attributes, self.target = other_attributes(spec), target_of_steps(spec)
        self.sizes = [
            spec.vocabulary_sizes[column.vocabulary] for column in self.attributes for _ in range(column.values)
        ]
        self.network = self._network(np.random.default_rng(0), dropout=0.0)
        self.network.trainable = False
        settings: dict[str, Any] = {"initializer": "zeros", "autocast": False, "dtype": "float32"}
        self.log_popularity = self.add_weight(shape=(self.values,), trainable=False, name="popularity", **settings)
        self.has_behavior = self.add_weight(shape=(self.values,), trainable=False, name="has_behavior", **settings)
        self.intercept = self.add_weight(shape=(), trainable=False, name="intercept", **settings)
        self.gamma = self.add_weight(shape=(), trainable=True, name="gamma", **settings)
        self.gain = self.add_weight(shape=(), trainable=True, name="gain", **settings)

    def _network(self, rng: np.random.Generator, dropout: float) -> BehaviorNetwork:
        network = BehaviorNetwork(self.sizes, self.values, self.units, dropout, rng)
        network.build()
        return network

    def prepare(self, training: TrainingRows) -> NDArray[np.float32]:
        """Train the networks; [N], s of each impression by the network of its user's fold.

        Raises:
            MailError: all impressions are clicks, or none; or there are fewer users than folds.
        """
        check_clicks("mail-softmax", training)
        keys = group_keys(self.attributes, training.attributes)
        target = self.target.from_group(training.target)[training.items, 0]
        users = _histories(training, keys, self.values)
        fold = user_folds(np.arange(len(keys)), self.folds, training.seed)
        scores, best_epochs = np.empty(len(training.users), np.float32), []
        for number in range(self.folds):
            others, held_out = users.rows(fold != number), users.rows(fold == number)
            network, best_epoch = self._trained(others, self.epochs, training.seed, number, held_out)
            best_epochs.append(best_epoch)
            of_fold = fold[training.users] == number
            # What their own behavior adds to popularity is as unknown at test.
            scores[of_fold] = _scores_by(
                network, Popularity.among(others), keys[training.users[of_fold]], target[of_fold]
            )
        final, _ = self._trained(users, int(np.median(best_epochs)), training.seed, self.folds)
        for own, trained in zip(self.network.weights, final.weights, strict=True):
            own.assign(trained)
        popularity = Popularity.among(users)
        self.log_popularity.assign(popularity.log_probability)
        self.has_behavior.assign(popularity.has_behavior)
        intercept, (weight,) = stacked_regression(scores[:, None].astype(np.float64), training.clicks)
        self.intercept.assign(intercept)
        self.gamma.assign(weight)
        return scores

    def _trained(
        self, users: Histories, epochs: int, seed: int, number: int, held_out: Histories | None = None
    ) -> tuple[BehaviorNetwork, int]:
        """A network that has learned from some users, and after how many epochs; `number` begins at 0."""
        rng = np.random.default_rng([seed, BEHAVIOR_NETWORKS, number])
        network = self._network(rng, self.dropout)
        title = f"behavior network {number + 1} of {self.folds + 1}"
        return network, train(network, users, epochs, rng, held_out, title)

    def complete(self, features: Features, training: bool = False) -> Features:
        """Put s into `prepared` where `prepare` has given none."""
        del training

        def score(keys: Tensor, users: Tensor, target: Tensor) -> Tensor:
            log_probability = tf.nn.log_softmax(self.network(keys))
            return _ratio(log_probability, self.log_popularity.value, self.has_behavior.value, users, target)

        return fill_prepared(features, self.attributes, score)

    def logits(self, ranker: Callable[..., Tensor], features: Features, training: bool = False) -> Tensor:
        """α + γ s + ρ f(x), with s = 0 where `prepared` has none; a logit of conversions stays as it is."""
        base = self.intercept + self.gamma * prepared_or_zero(features)
        return base_and_residual(base, self.gain, ranker(features, training=training))


def _scores_by(
    network: BehaviorNetwork, popularity: Popularity, keys: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.float32]:
    """s of impressions with attributes [N, columns] and ids of targets [N]; each combination is computed once."""
    combinations, place = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(place, kind="stable")
    sorted_place = place[order]
    scores = np.empty(len(keys), np.float32)
    for start, log_probability in network.log_probabilities(combinations):
        first, last = np.searchsorted(sorted_place, [start, start + len(log_probability)])
        rows = order[first:last]
        scores[rows] = _ratio(log_probability, *popularity, tf.constant(place[rows] - start), tf.constant(target[rows]))
    return scores


def _ratio(
    log_probability: Tensor, log_popularity: Tensor, has_behavior: Tensor, users: Tensor, target: Tensor
) -> Tensor:
    """s [B] of log P(· | a) [U, values], the rows of the impressions' users [B] and the targets' ids [B]."""
    target = tf.cast(target, users.dtype)
    of_target = tf.gather_nd(log_probability, tf.stack([users, target], axis=1))
    return tf.gather(has_behavior, target) * (of_target - tf.gather(log_popularity, target))


def _histories(training: TrainingRows, keys: NDArray[np.int64], values: int) -> Histories:
    """The attributes and behaviors of all users; padding and unknown values are not behavior."""
    user, ids, _ = training.behaviors()
    known = ids >= FIRST_ID
    counts = sparse.csr_array(
        (np.ones(np.count_nonzero(known), np.float32), (user[known], ids[known])), (len(keys), values)
    )
    return Histories(keys, counts)
