"""MetaEmb, meta-learned id embeddings (Pan et al., SIGIR 2019), a row of MAIL Table 2; for users instead of items."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mailcli.models.coldstart._virtual_steps import signature, signature_size
from mailcli.models.contracts import ColdStartMethod, TrainingData
from mailcli.models.features import Features, Spec, Tensor, without_behaviors
from mailcli.utils.progress import progress

#: The generator's outputs are divided by this (published notebook).
SCALE = 5.0


class ColdStart(ColdStartMethod):
    """MetaEmb: id embedding generated from the other attributes (Pan et al., SIGIR 2019).

    φ = tanh(W s) / 5, learned with the ranker frozen and behavior hidden: loss = α L(batch 1, φ) +
    (1 - α) L(batch 2, φ - η ∇φ L(batch 1, φ)), both of the same users.

    Args:
        alpha: weight of the cold loss (published notebook).
        inner_rate: η, a tenth of the learning rate (published notebook).
        learning_rate: of W's Adam (published notebook).
        steps: how many (ours).
        users: per step (ours).
        impressions: of each user in each of the two batches (ours; the notebook has 20 of an item).
    """

    two_stage = True

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
        super().__init__(**kwargs)
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` should be 0 to 1. Received: {alpha}")
        if min(inner_rate, learning_rate) <= 0 or min(steps, users, impressions) < 1:
            raise ValueError("the rates should be positive, `steps`, `users` and `impressions` 1 or more")
        self.settings: dict[str, Any] = {
            "alpha": alpha,
            "inner_rate": inner_rate,
            "learning_rate": learning_rate,
            "steps": steps,
            "users": users,
            "impressions": impressions,
        }

    def build_for(self, spec: Spec) -> None:
        """Make W."""
        self.id_place, self.n_a = spec.id_place, spec.n_a
        shape = (signature_size(spec), spec.dim)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", trainable=False, name="kernel")

    def generate(self, attributes: Tensor) -> Tensor:
        """φ [B, d] of the other attributes [B, (n_a - 1) d]."""
        return tf.tanh(tf.matmul(attributes, self.kernel.value)) / SCALE

    def complete(self, features: Features, training: bool = False) -> Features:
        """φ in place of the id's embedding where flag is true."""
        del training
        new = features.is_new[:, None]
        return self._with_id(
            features, tf.where(new, self.generate(signature(features, self.id_place)), self._id(features))
        )

    def _id(self, features: Features) -> Tensor:
        return features.attributes[:, self.id_place]

    def _with_id(self, features: Features, embedding: Tensor) -> Features:
        parts = tf.unstack(features.attributes, self.n_a, axis=1)
        parts[self.id_place] = embedding
        return features._replace(attributes=tf.stack(parts, axis=1))

    def fit(self, training: TrainingData) -> None:
        """Meta-learn W on pairs of batches of old users, their behavior hidden as a new user's is."""
        s = self.settings
        rng = np.random.default_rng([training.seed, 2])
        draws = _Draws(training, rng, s["users"], s["impressions"])
        optimizer = keras.optimizers.Adam(s["learning_rate"], epsilon=1e-8)
        optimizer.build([self.kernel])

        def one_step(cold: Features, click: Tensor, warm: Features, later: Tensor) -> None:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.kernel.value)
                loss = self.meta_loss(training, cold, click, warm, later)
            optimizer.apply_gradients([(tape.gradient(loss, self.kernel.value), self.kernel)])

        step = tf.function(one_step)
        with progress("fitting MetaEmb", s["steps"], "steps") as advance:
            for _ in range(s["steps"]):
                step(*draws.pair())
                advance(1)

    def meta_loss(self, training: TrainingData, cold: Features, click: Tensor, warm: Features, later: Tensor) -> Tensor:
        """α L(batch 1) + (1 - α) L(batch 2 after one step), means over users.

        Args:
            training: it has the ranker.
            cold, warm: batches 1 and 2 of the same users in the same order, `impressions` rows each.
            click, later: their clicks.
        """
        s = self.settings
        each = s["impressions"]
        phi = self.generate(tf.stop_gradient(signature(cold, self.id_place)[::each]))
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(phi)
            before = self._loss_of_each(training, cold, click, phi)
        stepped = phi - s["inner_rate"] * inner.gradient(before, phi)
        after = self._loss_of_each(training, warm, later, stepped)
        return s["alpha"] * tf.reduce_mean(before) + (1 - s["alpha"]) * tf.reduce_mean(after)

    def _loss_of_each(self, training: TrainingData, features: Features, click: Tensor, phi: Tensor) -> Tensor:
        """[users], the mean click loss of each user's impressions with its generated embedding."""
        each = self.settings["impressions"]
        logit = training.ranker(self._with_id(features, tf.repeat(phi, each, axis=0)))
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=click, logits=logit)
        return tf.reduce_mean(tf.reshape(losses, [-1, each]), axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


class _Draws:
    """Draws users, and two batches of some impressions of each, with replacement."""

    def __init__(self, training: TrainingData, rng: np.random.Generator, users: int, impressions: int) -> None:
        places = np.flatnonzero(training.old)
        self._places = places[np.argsort(training.users[places], kind="stable")]
        counts = np.unique(training.users[places], return_counts=True)[1]
        self._start, self._count = np.cumsum(counts) - counts, counts
        self._training, self._rng = training, rng
        self._users, self._impressions = users, impressions

    def pair(self) -> tuple[Features, Tensor, Features, Tensor]:
        """Features and clicks of batch 1, then of batch 2: row k of both is the same user's."""
        chosen = self._rng.integers(len(self._count), size=self._users)
        return *self._batch(chosen), *self._batch(chosen)

    def _batch(self, chosen: Any) -> tuple[Features, Tensor]:
        within = self._rng.random((len(chosen), self._impressions)) * self._count[chosen, None]
        places = self._places[(self._start[chosen, None] + within.astype(np.int64)).ravel()]
        features = self._training.gather(places)
        hidden = without_behaviors(features, tf.ones_like(features.is_new))
        return hidden, tf.constant(self._training.clicks[places])
