"""CVAR (Zhao et al., SIGIR 2022): a conditional variational autoencoder of id embeddings; here for users, not items."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.data.seed_streams import CVAR_BATCHES
from mailcli.models.coldstart._gaussian_networks import forward, gaussian, network
from mailcli.models.coldstart._generated_ids import GeneratedIdMethod
from mailcli.models.coldstart._generated_steps import as_float64
from mailcli.models.coldstart._signatures import signature_size
from mailcli.models.contracts import TrainingData
from mailcli.models.features import Features, Spec, Tensor, without_behaviors
from mailcli.utils.progress import progress


class ColdStart(GeneratedIdMethod):
    """CVAR: id embeddings from the other attributes by a latent Gaussian (Zhao et al., SIGIR 2022).

    q(z|e) from the id embedding e, p(z|s) from the other attributes s, decoder φ = D(z, f) with f the user's frequency,
    log(1 + impressions) / log(1 + the most of any user). Over old users, with the ranker frozen and behavior hidden,
    loss = L(clicks, ranker with φ, z ~ q) + α |φ - e|² + β W²(q, p), the Wasserstein distance of the two. A new user's
    φ = D(mean of p(z|s), mean f of old users). (`cvae` generates behavior instead, and does not ask the ranker.)

    Ours: e and s are centered and scaled to variance 1, so that α and β do not depend on the size of embeddings; |.|²
    is a mean over dimensions; behavior is hidden; new users get the two means, not a sample and their own frequency.

    Like MetaEmb, it was made for untrained ids, which new users have only under protocol `strict`. There, it is also
    fitted to the impressions whose id alone is hidden in training (UNKNOWN_SHARE), whose e is that of unknown ids.

    Args:
        latent: width of z (published code).
        units: hidden width of both encoders and of the decoder (published code: 16, 16 and 12).
        reconstruction_weight: α (published code).
        distance_weight: β (published code: 1e-4 of a sum over a batch of 2048).
        learning_rate: Adam's learning rate (published code).
        steps: number of training steps (ours).
        batch_size: impressions per step (ours).
    """

    def __init__(
        self,
        latent: int = 8,
        units: int = 16,
        reconstruction_weight: float = 1.0,
        distance_weight: float = 0.2,
        learning_rate: float = 1e-3,
        steps: int = 1000,
        batch_size: int = 512,
        **kwargs: Any,
    ) -> None:
        if min(latent, units, steps, batch_size) < 1:
            raise ValueError("`latent`, `units`, `steps` and `batch_size` should be 1 or more")
        if min(reconstruction_weight, distance_weight) < 0:
            raise ValueError("`reconstruction_weight` and `distance_weight` should be at least 0")
        if learning_rate <= 0:
            raise ValueError(f"`learning_rate` should be positive. Received: {learning_rate}")
        settings = {
            "latent": latent,
            "units": units,
            "reconstruction_weight": reconstruction_weight,
            "distance_weight": distance_weight,
            "learning_rate": learning_rate,
            "steps": steps,
            "batch_size": batch_size,
        }
        super().__init__(settings, **kwargs)

    def build_for(self, spec: Spec) -> None:
        """Make both encoders, the decoder, and what `fit` measures of old users."""
        super().build_for(spec)
        s, size = self.settings, signature_size(spec)
        # Only `fit` trains them; float32 whatever the precision.
        options: dict[str, Any] = {"trainable": False, "dtype": "float32"}
        self.posterior = network(spec.dim, (s["units"], 2 * s["latent"]), **options)
        self.prior = network(size, (s["units"], 2 * s["latent"]), **options)
        self.decoder = network(s["latent"] + 1, (s["units"], spec.dim), **options)
        self.id_mean = self._add_statistic("id_mean", spec.dim)
        self.id_scale = self._add_statistic("id_scale")
        self.signature_mean = self._add_statistic("signature_mean", size)
        self.signature_scale = self._add_statistic("signature_scale")
        self.frequency = self._add_statistic("frequency")

    def _add_statistic(self, name: str, *shape: int) -> Any:
        """A variable for what `_measure` finds of old users."""
        options: dict[str, Any] = {"initializer": "zeros", "trainable": False, "dtype": "float32", "autocast": False}
        return self.add_weight(shape=shape, name=name, **options)

    def generate(self, attributes: Tensor) -> Tensor:
        """φ [B, d] from the other attributes [B, (n_a - 1) d]."""
        mean, _ = self._prior(attributes)
        return self._to_id(self._decode(mean, tf.fill(tf.shape(mean)[:1], self.frequency.value)))

    def _prior(self, signatures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log σ² of p(z|s)."""
        return gaussian(self.prior, _standardize(signatures, self.signature_mean, self.signature_scale))

    def _decode(self, z: Tensor, frequency: Tensor) -> Tensor:
        """D(z, f), centered and scaled."""
        return forward(self.decoder, tf.concat([z, frequency[:, None]], axis=1))

    def _to_id(self, decoded: Tensor) -> Tensor:
        return self.id_mean + self.id_scale * decoded

    def fit(self, training: TrainingData) -> None:
        """Train the networks on impressions of old users."""
        s = self.settings
        rng = np.random.default_rng([training.seed, CVAR_BATCHES])
        rows = np.flatnonzero(training.old)
        frequencies = frequencies_of(training.users[rows])
        one_of_each_user = np.unique(training.users[rows], return_index=True)[1]
        self.frequency.assign(frequencies[one_of_each_user].mean())
        self._measure(training)
        variables = [
            v for layers in (self.posterior, self.prior, self.decoder) for layer in layers for v in layer.weights
        ]
        optimizer = keras.optimizers.Adam(s["learning_rate"])
        optimizer.build(variables)

        def one_step(features: Features, clicks: Tensor, frequency: Tensor, noise: Tensor) -> None:
            values = [variable.value for variable in variables]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                loss = tf.add_n(list(self.losses_of(training, features, clicks, frequency, noise).values()))
            optimizer.apply_gradients(zip(tape.gradient(loss, values), variables, strict=True))

        step = tf.function(one_step)
        with progress("fitting CVAR", s["steps"], "steps") as advance:
            for _ in range(s["steps"]):
                chosen = rng.integers(len(rows), size=s["batch_size"])
                noise = rng.standard_normal((s["batch_size"], s["latent"]))
                numbers = (training.clicks[rows[chosen]], frequencies[chosen], noise)
                step(training.gather(rows[chosen]), *(tf.constant(x, tf.float32) for x in numbers))
                advance(1)

    def losses_of(
        self, training: TrainingData, features: Features, clicks: Tensor, frequency: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        """The click loss, α |φ - e|² and β W², means over impressions.

        Args:
            training: has the ranker.
            features: impressions of old users.
            clicks: [B].
            frequency: [B], f.
            noise: [B, latent], N(0, 1), the sample of q.
        """
        e = _standardize(self.id_embedding(features), self.id_mean, self.id_scale)
        mean, log_variance = gaussian(self.posterior, e)
        decoded = self._decode(mean + noise * tf.exp(log_variance / 2), frequency)
        hidden = without_behaviors(features, tf.ones_like(features.is_new))
        logits = training.ranker(self.with_id(hidden, self._to_id(decoded)))
        click = tf.nn.sigmoid_cross_entropy_with_logits(labels=clicks, logits=logits)
        distance = squared_wasserstein(mean, log_variance, *self._prior(self.signature(features)))
        return {
            "click": tf.reduce_mean(click),
            "reconstruction": self.settings["reconstruction_weight"] * tf.reduce_mean((decoded - e) ** 2),
            "distance": self.settings["distance_weight"] * tf.reduce_mean(distance),
        }

    def _measure(self, training: TrainingData) -> None:
        """Set the means and scales of ids and signatures to those of old users."""
        parts = (
            (self.id_embedding, self.id_mean, self.id_scale),
            (self.signature, self.signature_mean, self.signature_scale),
        )
        for read, mean, scale in parts:
            count, total, squares = 0, np.zeros(mean.shape), 0.0
            for features in training.old_users():
                values = as_float64(read(features))
                count, total = count + len(values), total + values.sum(axis=0)
                squares += float((values**2).sum())
            mean.assign(total / count)
            variance = squares / count - float(((total / count) ** 2).sum())
            scale.assign(np.sqrt(max(variance, 0.0) / len(total)))


def _standardize(x: Tensor, mean: Any, scale: Any) -> Tensor:
    """(x - mean) / scale; 0 where all users are equal."""
    return tf.math.divide_no_nan(x - mean.value, scale.value)


def frequencies_of(users: NDArray[np.int64]) -> NDArray[np.float64]:
    """log(1 + n) / log(1 + the largest n) of each impression [N], n the number of its user's impressions."""
    counts = np.log1p(np.bincount(users))
    frequencies: NDArray[np.float64] = counts[users] / counts.max()
    return frequencies


def squared_wasserstein(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """W² of two diagonal Gaussians in each row, Σ (μ - μ')² + (σ - σ')², [B] of [B, n]."""
    distance = tf.math.squared_difference(mean, other_mean)
    distance += tf.math.squared_difference(tf.exp(log_variance / 2), tf.exp(other_log_variance / 2))
    return tf.reduce_sum(distance, axis=1)
