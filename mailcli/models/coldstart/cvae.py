"""A conditional variational autoencoder from attributes to behavior: the idea of CVAR, applied to users."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.coldstart._gaussian_networks import forward, gaussian, network
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, Tensor, with_generated_behavior
from mailcli.models.history_length import HistoryLength
from mailcli.models.layers import AttentionPooling
from mailcli.models.losses import gaussian_nll, kl_divergence

#: Added to the variance in both layer normalizations (ours): far below that of the smallest embeddings, 3e-5.
NORM_EPSILON = 1e-9


class ColdStart(ColdStartMethod):
    """CVAE: from attributes to behavior through a latent Gaussian (CVAR, Zhao et al., SIGIR 2022).

    q(z|v) from pooled behavior, p(z|a) from pooled attributes, decoder z -> v. L_rec = -log N(v; D(z), σ² I), z ~ q,
    with σ² the mean squared error; L_kl = KL(q(z|v) || p(z|a)). A new user's v̂ = D(mean of p(z|a)), and its number of
    steps is read off the same mean. Gradients to the embeddings are stopped.

    Args:
        latent: width of z (ours).
        units: hidden width of both encoders and the decoder (ours).
        kl_weight: weight of L_kl: 1 for the evidence lower bound.
        attention_units: d_r of the attention pooling, MAIL Eq. (1) (ours: as in MAIL).
    """

    generates = True

    def __init__(
        self,
        latent: int = 32,
        units: int = 512,
        kl_weight: float = 1.0,
        attention_units: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(latent, units, attention_units) < 1:
            raise ValueError("`latent`, `units` and `attention_units` should be 1 or more")
        if kl_weight < 0:
            raise ValueError(f"`kl_weight` should be at least 0. Received: {kl_weight}")
        widths = {"latent": latent, "units": units, "attention_units": attention_units}
        self.settings: dict[str, Any] = {**widths, "kl_weight": kl_weight}

    @property
    def co_trained(self) -> bool:
        """True: G_A trains it with L_rec and L_kl."""
        return True

    def build_for(self, spec: Spec) -> None:
        """Make both encoders and the decoder.

        Raises:
            ValueError: an embedding has one number, of which the layer normalization is 0 for everybody.
        """
        if spec.dim < 2:
            raise ValueError("embedding_dim = 1: the layer normalization of one number is 0. Expected 2 or more")
        s = self.settings
        self.n_v, self.dim = spec.history, spec.dim
        self.random = keras.random.SeedGenerator()
        self.pool_a = AttentionPooling(s["attention_units"])
        self.pool_a.build((None, spec.n_a, spec.dim))
        self.pool_v = AttentionPooling(s["attention_units"])
        self.pool_v.build((None, spec.history, spec.dim))
        # Embeddings far below 1 would give every user the same code, and the KL divergence would keep it so.
        self.norm_a, self.norm_v = (keras.layers.LayerNormalization(epsilon=NORM_EPSILON) for _ in range(2))
        self.norm_a.build((None, spec.dim))
        self.norm_v.build((None, spec.dim))
        self.prior = network(spec.dim, (s["units"], 2 * s["latent"]))
        self.posterior = network(spec.dim, (s["units"], 2 * s["latent"]))
        self.decoder = network(s["latent"], (s["units"], spec.history * spec.dim))
        self.length = HistoryLength(spec.history)
        self.length.build((None, s["latent"]))

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """L_rec and L_kl over impressions of old users; L_n trains the length of v̂, and nothing else."""
        features = features.frozen()
        prior = gaussian(self.prior, self.norm_a(self.pool_a(features.attributes)))
        pooled = self.pool_v(features.behaviors, features.behavior_mask)
        mean, log_variance = gaussian(self.posterior, self.norm_v(pooled))
        noise = distribute.normal(mean, self.random) if training else 0.0
        v = tf.reshape(features.behaviors, [-1, self.n_v * self.dim])
        decoded = forward(self.decoder, mean + noise * tf.exp(log_variance / 2))
        return {
            "L_rec": gaussian_nll(decoded, v),
            "L_kl": self.settings["kl_weight"] * kl_divergence(mean, log_variance, *prior),
            "L_n": self.length.loss(prior[0], features.behavior_mask),
        }

    def generate(self, attributes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """v̂ [B, n_v, d] from the mean of p(z|a), Σ v̂_i [B, d], and which steps count [B, n_v].

        Args:
            attributes: [B, n_a, d].
        """
        mean, _ = gaussian(self.prior, self.norm_a(self.pool_a(tf.stop_gradient(attributes))))
        v_hat = tf.reshape(tf.stop_gradient(forward(self.decoder, mean)), [-1, self.n_v, self.dim])
        return v_hat, tf.reduce_sum(v_hat, axis=1), self.length(mean)

    def complete(self, features: Features, training: bool = False) -> Features:
        """Put v̂ in place of v where flag is true, MAIL Eq. (10)."""
        del training
        return with_generated_behavior(features, self.generate)
