"""MetaEmb, meta-learned id embeddings (Pan et al., SIGIR 2019), a row of MAIL Table 2; here for users, not items."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mailcli.data.seed_streams import METAEMB_BATCHES
from mailcli.models.coldstart._generated_ids import GeneratedIdMethod
from mailcli.models.coldstart._signatures import signature_size
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Features, Spec, Tensor, without_behaviors
from mailcli.models.optimizers import ADAM_EPSILON
from mailcli.utils.progress import progress

#: The generator's outputs are divided by this (published notebook).
OUTPUT_DIVISOR = 5.0


class ColdStart(GeneratedIdMethod):
    """MetaEmb: id embeddings generated from the other attributes (Pan et al., SIGIR 2019).

    φ = tanh(W s) / 5, learned with the ranker frozen and behavior hidden: loss = α L(batch 1, φ) +
    (1 - α) L(batch 2, φ - η ∇φ L(batch 1, φ)); both batches show the same users.

    It was made for untrained ids, which new users have under protocol `strict`. Under `paper` they keep their training
    impressions (on MovieLens-100K about 75 each), so φ replaces trained ids, which its authors never do: a loss there
    says nothing about MetaEmb.

    Args:
        alpha: weight of the cold loss (published notebook).
        inner_rate: η, a tenth of the learning rate (published notebook).
        learning_rate: Adam's learning rate for W (published notebook).
        steps: number of training steps (ours).
        users: users per step (ours).
        impressions: impressions per user in each of the two batches (ours; the notebook has 20 per item).
    """

    def __init__(
        self,
        alpha: float = 0.1,
        inner_rate: float = 1e-4,
        learning_rate: float = 1e-3,
        steps: int = 300,
        users: int = 128,
        impressions: int = 4,
        **kwargs: Any,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` should be 0 to 1. Received: {alpha}")
        if min(inner_rate, learning_rate) <= 0:
            raise ValueError(
                f"`inner_rate` and `learning_rate` should be positive. Received: {inner_rate} and {learning_rate}"
            )
        if min(steps, users, impressions) < 1:
            raise ValueError(
                f"`steps`, `users` and `impressions` should be 1 or more. Received: {steps}, {users} and {impressions}"
            )
        settings: dict[str, Any] = {
            "alpha": alpha,
            "inner_rate": inner_rate,
            "learning_rate": learning_rate,
            "steps": steps,
            "users": users,
            "impressions": impressions,
        }
        super().__init__(settings, **kwargs)

    def build_for(self, spec: Spec) -> None:
        """Make W."""
        super().build_for(spec)
        shape = (signature_size(spec), spec.dim)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", trainable=False, name="kernel")

    def generate(self, attributes: Tensor) -> Tensor:
        """φ [B, d] from the other attributes [B, (n_a - 1) d]."""
        return tf.tanh(tf.matmul(attributes, self.kernel.value)) / OUTPUT_DIVISOR

    def fit(self, training: TrainingData) -> None:
        """Meta-learn W on pairs of batches of old users, with their behavior hidden as if they were new."""
        s = self.settings
        rng = np.random.default_rng([training.seed, METAEMB_BATCHES])
        batches = _UserBatches(training, rng, s["users"], s["impressions"])
        optimizer = keras.optimizers.Adam(s["learning_rate"], epsilon=ADAM_EPSILON)
        optimizer.build([self.kernel])

        def one_step(cold: Features, cold_clicks: Tensor, warm: Features, warm_clicks: Tensor) -> None:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.kernel.value)
                loss = self.meta_loss(training, cold, cold_clicks, warm, warm_clicks)
            optimizer.apply_gradients([(tape.gradient(loss, self.kernel.value), self.kernel)])

        step = tf.function(one_step)
        with progress("fitting MetaEmb", s["steps"], "steps") as advance:
            for _ in range(s["steps"]):
                step(*batches.next_pair())
                advance(1)

    def meta_loss(
        self, training: TrainingData, cold: Features, cold_clicks: Tensor, warm: Features, warm_clicks: Tensor
    ) -> Tensor:
        """α L(batch 1) + (1 - α) L(batch 2 after one step), means over users.

        Args:
            training: has the ranker.
            cold, warm: batches 1 and 2 of the same users in the same order, `impressions` rows per user.
            cold_clicks, warm_clicks: their clicks.
        """
        s = self.settings
        phi = self.generate(tf.stop_gradient(self.signature(cold)[:: s["impressions"]]))
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(phi)
            before = self._user_losses(training, cold, cold_clicks, phi)
        stepped = phi - s["inner_rate"] * inner.gradient(before, phi)
        after = self._user_losses(training, warm, warm_clicks, stepped)
        return s["alpha"] * tf.reduce_mean(before) + (1 - s["alpha"]) * tf.reduce_mean(after)

    def _user_losses(self, training: TrainingData, features: Features, clicks: Tensor, phi: Tensor) -> Tensor:
        """[users], the mean click loss of each user's impressions with its generated embedding."""
        impressions = self.settings["impressions"]
        logits = training.ranker(self.with_id(features, tf.repeat(phi, impressions, axis=0)))
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=clicks, logits=logits)
        return tf.reduce_mean(tf.reshape(losses, [-1, impressions]), axis=1)


class _UserBatches:
    """Samples users, and two batches with some impressions of each, with replacement."""

    def __init__(self, training: TrainingData, rng: np.random.Generator, users: int, impressions: int) -> None:
        old = np.flatnonzero(training.old)
        self._by_user = old[np.argsort(training.users[old], kind="stable")]
        counts = np.unique(training.users[old], return_counts=True)[1]
        self._start, self._count = np.cumsum(counts) - counts, counts
        self._training, self._rng = training, rng
        self._users, self._impressions = users, impressions

    def next_pair(self) -> tuple[Features, Tensor, Features, Tensor]:
        """Features and clicks of batch 1, then of batch 2; row k of both belongs to the same user."""
        users = self._rng.integers(len(self._count), size=self._users)
        return *self._batch(users), *self._batch(users)

    def _batch(self, users: Any) -> tuple[Features, Tensor]:
        offset = self._rng.random((len(users), self._impressions)) * self._count[users, None]
        impressions = self._by_user[(self._start[users, None] + offset.astype(np.int64)).ravel()]
        features = self._training.gather(impressions)
        hidden = without_behaviors(features, tf.ones_like(features.is_new))
        return hidden, tf.constant(self._training.clicks[impressions])
