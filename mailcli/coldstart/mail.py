"""MAIL's zero-shot tower: the virtual behaviour of new users from their attributes (MAIL Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.config import VARIANTS
from mailcli.contracts import ColdStartMethod, Features, Spec, Tensor, invent_behaviors
from mailcli.layers import AttentionPooling, ResidualDecoder, ResidualEncoder
from mailcli.losses import mmd2, squared_error

REDUCTIONS = ("mean", "sum")


class ColdStart(ColdStartMethod):
    """MAIL: dual autoencoders invent behaviour from attributes (Feng et al., CIKM 2021).

    Eqs. (1)-(8), aligned by MMD; v̂ = D2(E1(h_a)) for new users.

    Embeddings enter through stop_gradient: neither loss moves the table by way of this tower.

    Args:
        variant: base, trained by Eq. (7); dual, by (3) + (4); single, by (3); none, a linear map from a to v without a
            loss of its own, trained by the click loss (MAIL Table 3).
        reduction: of the squared errors, "mean" over dimensions as in the published code or "sum" (MAIL Eq. (3)).
        attention_units: d_r of Eq. (1), as d of the paper's settings (ours; the paper does not tell).
        encoder_units: widths of E1 and E2, Eq. (15).
        decoder_units: hidden widths of D1 and D2, Eq. (16).
        dropout: rate in encoders and decoders (MAIL Sec. 4.1.4).
        sigma: σ of the MMD's kernel, Eq. (6).
    """

    def __init__(
        self,
        variant: str = "base",
        reduction: str = "mean",
        attention_units: int = 32,
        encoder_units: Sequence[int] = (1024, 512, 512),
        decoder_units: Sequence[int] = (512, 1024),
        dropout: float = 0.5,
        sigma: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if variant not in VARIANTS:
            raise ValueError(f"`variant` should be one of {VARIANTS}. Received: variant={variant!r}")
        if reduction not in REDUCTIONS:
            raise ValueError(f"`reduction` should be one of {REDUCTIONS}. Received: reduction={reduction!r}")
        if len(encoder_units) != 3 or len(decoder_units) != 2:
            raise ValueError(
                "`encoder_units` should have 3 widths and `decoder_units` 2, as Eqs. (15)-(16). "
                f"Received: {tuple(encoder_units)} and {tuple(decoder_units)}"
            )
        if min(attention_units, *encoder_units, *decoder_units) < 1:
            raise ValueError("`attention_units`, `encoder_units` and `decoder_units` should be 1 or more")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` should be at least 0 and below 1. Received: dropout={dropout}")
        if not sigma > 0:
            raise ValueError(f"`sigma` should be positive. Received: sigma={sigma}")
        self.settings: dict[str, Any] = {
            "variant": variant,
            "reduction": reduction,
            "attention_units": attention_units,
            "encoder_units": tuple(encoder_units),
            "decoder_units": tuple(decoder_units),
            "dropout": dropout,
            "sigma": sigma,
        }
        self.variant = variant
        self.reduction = reduction
        self.sigma = sigma

    @property
    def co_trained(self) -> bool:
        """True but for the variant none, which has no loss of its own."""
        return self.variant != "none"

    def build_for(self, spec: Spec) -> None:
        """Make the variables for a [n_a, d] and v [n_v, d]; only those that the variant trains."""
        n_a, n_v, dim = spec.n_a, spec.history, spec.dim
        self.n_v, self.dim = n_v, dim
        s = self.settings
        code = s["encoder_units"][-1]
        if self.variant == "none":
            self.linear = _built(keras.layers.Dense(n_v * dim), (None, n_a * dim))
            return
        self.pool_a = _built(AttentionPooling(s["attention_units"]), (None, n_a, dim))
        self.e1 = _built(ResidualEncoder(s["encoder_units"], s["dropout"]), (None, dim))
        self.d1 = _built(ResidualDecoder(s["decoder_units"], n_a * dim, s["dropout"]), (None, code))
        self.d2 = _built(ResidualDecoder(s["decoder_units"], n_v * dim, s["dropout"]), (None, code))
        if self.variant != "single":
            self.pool_v = _built(AttentionPooling(s["attention_units"]), (None, n_v, dim))
            self.e2 = _built(ResidualEncoder(s["encoder_units"], s["dropout"]), (None, dim))

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """L_a (3), L_v (4) and L_d (5) of impressions of old users; L_zst (7) is their sum.

        Terms that the variant is not trained by are left out.
        """
        features = features.frozen()
        codes = {"L_a": self.e1(self.pool_a(features.attributes), training=training)}
        if self.variant in {"dual", "base"}:
            pooled = self.pool_v(features.behaviors, features.behavior_mask)
            codes["L_v"] = self.e2(pooled, training=training)
        losses = self._reconstructions(codes, _flat(features.attributes), _flat(features.behaviors), training)
        if self.variant == "base":
            losses["L_d"] = mmd2(codes["L_a"], codes["L_v"], self.sigma)
        return losses

    def _reconstructions(self, codes: dict[str, Tensor], a: Tensor, v: Tensor, training: bool) -> dict[str, Tensor]:
        """||D1(code) - a||² + ||D2(code) - v||²: L_a, Eq. (3), for code = p; L_v, Eq. (4), for code = q.

        Both codes go through the decoders at once, as one batch.
        """
        both = tf.concat(list(codes.values()), axis=0)
        of_a, of_v = (tf.split(decoder(both, training=training), len(codes), axis=0) for decoder in (self.d1, self.d2))
        return {
            name: squared_error(a_hat, a, self.reduction) + squared_error(v_hat, v, self.reduction)
            for name, a_hat, v_hat in zip(codes, of_a, of_v, strict=True)
        }

    def generate(self, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """v̂ [B, n_v, d], Eq. (8), of a [B, n_a, d], and Σ v̂_i [B, d]; without dropout, as at test time (ours).

        The last layer is linear, so the sum is also that of its weights: a ranker that reads the sum alone spares a
        graph the widest layer.
        """
        attributes = tf.stop_gradient(attributes)
        if self.variant == "none":
            x, last = _flat(attributes), self.linear
        else:
            x, last = self.d2.hidden(self.e1(self.pool_a(attributes))), self.d2.last
        v_hat = tf.reshape(last(x), [-1, self.n_v, self.dim])
        summed = [
            tf.reduce_sum(tf.reshape(w.value, [-1, self.n_v, self.dim]), axis=1) for w in (last.kernel, last.bias)
        ]
        return v_hat, tf.matmul(tf.cast(x, summed[0].dtype), summed[0]) + summed[1]

    def complete(self, features: Features, training: bool = False) -> Features:
        """v̂ in place of v where flag is true, Eq. (10)."""
        del training
        return invent_behaviors(features, self.generate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


def _flat(x: Tensor) -> Tensor:
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2]])


def _built(layer: Any, shape: tuple[int | None, ...]) -> Any:
    layer.build(shape)
    return layer
