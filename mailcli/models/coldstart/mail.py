"""MAIL's zero-shot tower: generates the behavior of new users from their attributes (MAIL Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.config import VARIANTS
from mailcli.models import distribute
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, Tensor, with_generated_behavior
from mailcli.models.history_length import HistoryLength, MeanLength
from mailcli.models.layers import AttentionPooling, ResidualDecoder, ResidualEncoder, weighted_sum
from mailcli.models.losses import adaptive_sigma, mmd2, squared_error
from mailcli.models.real_steps import real_step_errors
from mailcli.utils.option_checks import check_least, check_rates

REDUCTIONS = ("mean", "sum")
BANDWIDTHS = ("fixed", "adaptive")
STEPS = ("predicted", "typical", "all")
PADDINGS = ("reconstructed", "masked")
#: The values of the options that are names; `mail settings` reads them here.
CHOICES = {
    "variant": VARIANTS,
    "reduction": REDUCTIONS,
    "bandwidth": BANDWIDTHS,
    "steps": STEPS,
    "padding": PADDINGS,
}
#: Momentum of the moving share of histories that fill a step (ours; that of Keras' batch normalization).
FILLED_MOMENTUM = 0.99
#: σ of a fixed bandwidth of the MMD (MAIL Sec. 4.1.4).
SIGMA = 1.0


class ColdStart(ColdStartMethod):
    """MAIL: dual autoencoders generate behavior from attributes (Feng et al., CIKM 2021).

    Eqs. (1)-(8), aligned by MMD; v̂ = D2(E1(h_a)) for new users. Gradients to the embeddings are stopped: neither loss
    changes the table through this tower.

    Args:
        variant: base, trained with Eq. (7); dual, with (3) + (4); single, with (3); none, a linear map from a to v
            without a loss of its own, trained with the click loss (MAIL Table 3).
        reduction: how squared errors are reduced over dimensions: "sum", as Eq. (3) is written, or "mean", as in the
            published code.
        attention_units: d_r of Eq. (1) (ours: equal to the paper's d; the paper does not say).
        encoder_units: widths of E1 and E2, Eq. (15).
        decoder_units: hidden widths of D1 and D2, Eq. (16).
        dropout: dropout rate in encoders and decoders (MAIL Sec. 4.1.4).
        bandwidth: bandwidth of the MMD kernel, Eq. (6): "adaptive" follows the distances between a batch's codes
            (ours: these are far below 1, where a fixed bandwidth has no gradient; docs/equations.md); "fixed" is as in
            the paper.
        sigma: σ of a fixed bandwidth, Eq. (6).
        steps: which steps of v̂ count as behavior for rankers that read them one by one: "predicted", the last n̂ steps,
            n̂ predicted for each user from p (as in the published code; for variant none the mean history length so
            far); "typical", the steps that more than half of the old users' histories fill (for variant none, which
            learns from no histories, the same as "all"); "all", all n_v. The other steps are zero, like padding.
        padding: how the padding of short histories enters ||D2(·) - v||² of Eqs. (3)-(4): "reconstructed" as zeros, as
            the formulas are written, so that Σ v̂ is over all n_v; or "masked" (ours): only real steps are computed and
            compared, which is quicker where histories are short, and Σ v̂ is over the steps that count.
        click_gradient: whether the gradient of the click loss reaches the tower, too, by a second update of G_A after
            line 7 of Algorithm 1 (ours; in Algorithm 1 it does not).
        update_every: n: the tower is trained only in every n-th step (ours; Algorithm 1 trains it in every step, which
            makes a step of BaseDNN seven to twelve times as long). v̂ is generated in every step.
    """

    generates = True

    def __init__(
        self,
        variant: str = "base",
        reduction: str = "sum",
        attention_units: int = 32,
        encoder_units: Sequence[int] = (1024, 512, 512),
        decoder_units: Sequence[int] = (512, 1024),
        dropout: float = 0.5,
        bandwidth: str = "adaptive",
        sigma: float = SIGMA,
        steps: str = "predicted",
        padding: str = "reconstructed",
        click_gradient: bool = False,
        update_every: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings: dict[str, Any] = {
            "variant": variant,
            "reduction": reduction,
            "attention_units": attention_units,
            "encoder_units": tuple(encoder_units),
            "decoder_units": tuple(decoder_units),
            "dropout": dropout,
            "bandwidth": bandwidth,
            "sigma": sigma,
            "steps": steps,
            "padding": padding,
            "click_gradient": click_gradient,
            "update_every": update_every,
        }
        _check_options(self.settings)
        self.variant = variant
        self.reduction = reduction

    @property
    def co_trained(self) -> bool:
        """True except for variant none, which has no loss of its own."""
        return self.variant != "none"

    @property
    def learns_from_clicks(self) -> bool:
        """With the option `click_gradient`. (Variant none is trained only with the click loss, by G_B.)"""
        return self.co_trained and bool(self.settings["click_gradient"])

    @property
    def update_every(self) -> int:
        """G_A is updated in every n-th step."""
        return int(self.settings["update_every"])

    def build_for(self, spec: Spec) -> None:
        """Make the variables for a [n_a, d] and v [n_v, d], only those that the variant trains."""
        n_a, n_v, dim = spec.n_a, spec.history, spec.dim
        self.n_v, self.dim = n_v, dim
        s = self.settings
        code = s["encoder_units"][-1]
        if s["steps"] == "typical":
            # All steps count at first.
            self.filled = self.add_weight(shape=(n_v,), initializer="ones", trainable=False, name="filled")
        if self.variant == "none":
            self.linear = _built(keras.layers.Dense(n_v * dim), (None, n_a * dim))
            if s["steps"] == "predicted":
                self.mean_length = MeanLength(n_v)
            return
        if s["steps"] == "predicted":
            self.length = _built(HistoryLength(n_v), (None, code))
        self.pool_a = _built(AttentionPooling(s["attention_units"]), (None, n_a, dim))
        self.e1 = _built(ResidualEncoder(s["encoder_units"], s["dropout"]), (None, dim))
        self.d1 = _built(ResidualDecoder(s["decoder_units"], n_a * dim, s["dropout"]), (None, code))
        self.d2 = _built(ResidualDecoder(s["decoder_units"], n_v * dim, s["dropout"]), (None, code))
        if self.variant != "single":
            self.pool_v = _built(AttentionPooling(s["attention_units"]), (None, n_v, dim))
            self.e2 = _built(ResidualEncoder(s["encoder_units"], s["dropout"]), (None, dim))

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """L_a (3), L_v (4) and L_d (5) over impressions of old users, whose sum is (7), and L_n.

        Terms that the variant does not train with are left out. L_n trains the length of v̂, and nothing else; the
        logged L_zst is (7) + L_n.
        """
        features = features.frozen()
        codes = {"L_a": self.e1(self.pool_a(features.attributes), training=training)}
        if self.variant in {"dual", "base"}:
            pooled = self.pool_v(features.behaviors, features.behavior_mask)
            codes["L_v"] = self.e2(pooled, training=training)
        losses = self._reconstructions(codes, features, training)
        if self.variant == "base":
            p, q = codes["L_a"], codes["L_v"]
            fixed = self.settings["bandwidth"] == "fixed"
            losses["L_d"] = mmd2(p, q, self.settings["sigma"] if fixed else adaptive_sigma(p, q))
        if training and self.settings["steps"] == "typical":
            self._update_filled(features.behavior_mask)
        if self.settings["steps"] == "predicted":
            losses["L_n"] = self.length.loss(codes["L_a"], features.behavior_mask)
        return losses

    def _update_filled(self, mask: Tensor) -> None:
        """Update the share of old users' histories that fill each step; a batch without old users changes nothing."""
        rows = tf.cast(distribute.global_row_count(mask), tf.float32)
        share = tf.math.divide_no_nan(distribute.all_reduce_sum(tf.reduce_sum(tf.cast(mask, tf.float32), axis=0)), rows)
        self.filled.assign(
            tf.where(rows > 0, FILLED_MOMENTUM * self.filled + (1 - FILLED_MOMENTUM) * share, self.filled)
        )

    def _code(self, attributes: Tensor) -> Tensor:
        """p = E1(h_a), without dropout; for variant none, the flattened attributes."""
        attributes = tf.stop_gradient(attributes)
        return _flat(attributes) if self.variant == "none" else self.e1(self.pool_a(attributes))

    def _step_mask(self, code: Tensor) -> Tensor:
        """[B, n_v] bool, which steps of v̂ count as behavior for users with these codes."""
        steps = self.settings["steps"]
        if steps == "predicted" and self.variant != "none":
            return self.length(code)
        if steps == "predicted":
            mask = self.mean_length.step_mask()
        elif steps == "typical":
            mask = tf.concat([self.filled[:-1] > 0.5, [True]], axis=0)
        else:
            mask = tf.ones([self.n_v], tf.bool)
        return tf.tile(mask[None], [tf.shape(code)[0], 1])

    def _reconstructions(self, codes: dict[str, Tensor], features: Features, training: bool) -> dict[str, Tensor]:
        """||D1(code) - a||² + ||D2(code) - v||²: L_a, Eq. (3), for code = p; L_v, Eq. (4), for code = q.

        Both codes go through the decoders as one batch.
        """
        both = tf.concat(list(codes.values()), axis=0)
        masked = self.settings["padding"] == "masked"
        with distribute.repeated_rows(len(codes)):
            # D2 by one call where it can be: by two, gradients round otherwise, and runs would lose their last digits.
            a_decoded = self.d1(both, training=training)
            v_decoded = self.d2.hidden(both, training=training) if masked else self.d2(both, training=training)
        a_hats, by_code = (tf.split(x, len(codes), axis=0) for x in (a_decoded, v_decoded))
        a, v = _flat(features.attributes), _flat(features.behaviors)
        v_errors = (
            real_step_errors(
                tf.stack(by_code), self.d2.last, features.behaviors, features.behavior_mask, self.reduction
            )
            if masked
            else [squared_error(v_hat, v, self.reduction) for v_hat in by_code]
        )
        return {
            name: squared_error(a_hat, a, self.reduction) + v_error
            for name, a_hat, v_error in zip(codes, a_hats, v_errors, strict=True)
        }

    def generate(self, attributes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """v̂ [B, n_v, d], Eq. (8), of a [B, n_a, d]; Σ v̂_i [B, d]; and which steps count [B, n_v].

        Without dropout, as at test time (ours). The last layer is linear, so a sum over all steps is computed from the
        sums of its weights: for a ranker that reads only the sum, the graph does without the widest layer.
        """
        code = self._code(attributes)
        step_mask = self._step_mask(code)
        x, last = (code, self.linear) if self.variant == "none" else (self.d2.hidden(code), self.d2.last)
        v_hat = tf.reshape(last(x), [-1, self.n_v, self.dim])
        if self.settings["padding"] == "masked":
            # Nothing has taught D2 what the other steps should be.
            return v_hat, weighted_sum(tf.cast(step_mask, v_hat.dtype), v_hat), step_mask
        weights = (tf.reshape(w.value, [-1, self.n_v, self.dim]) for w in (last.kernel, last.bias))
        kernel, bias = (tf.reduce_sum(w, axis=1) for w in weights)
        return v_hat, tf.matmul(tf.cast(x, kernel.dtype), kernel) + bias, step_mask

    def complete(self, features: Features, training: bool = False) -> Features:
        """Put v̂ in place of v where flag is true, Eq. (10)."""
        if training and self.variant == "none" and self.settings["steps"] == "predicted":
            self.mean_length.observe(features.behavior_mask)
        return with_generated_behavior(features, self.generate)


def _check_options(options: dict[str, Any]) -> None:
    """Refuse values that an option cannot have (ValueError)."""
    for name, values in CHOICES.items():
        if options[name] not in values:
            raise ValueError(f"`{name}` should be one of {values}. Received: {name}={options[name]!r}")
    encoder, decoder = options["encoder_units"], options["decoder_units"]
    if len(encoder) != 3:
        raise ValueError(f"`encoder_units` should be 3 widths, as Eq. (15). Received: {encoder}")
    if len(decoder) != 2:
        raise ValueError(f"`decoder_units` should be 2 widths, as Eq. (16). Received: {decoder}")
    if min(options["attention_units"], *encoder, *decoder) < 1:
        raise ValueError("`attention_units`, `encoder_units` and `decoder_units` should be 1 or more")
    check_rates(dropout=options["dropout"])
    check_least(1, update_every=options["update_every"])
    sigma, bandwidth = options["sigma"], options["bandwidth"]
    if not sigma > 0:
        raise ValueError(f"`sigma` should be positive. Received: sigma={sigma}")
    if sigma != SIGMA and bandwidth != "fixed":
        raise ValueError(f"`sigma` is that of bandwidth=fixed. Received: sigma={sigma}, bandwidth={bandwidth}")


def _flat(x: Tensor) -> Tensor:
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2]])


def _built(layer: Any, shape: tuple[int | None, ...]) -> Any:
    layer.build(shape)
    return layer
