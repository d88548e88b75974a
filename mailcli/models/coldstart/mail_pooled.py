"""MAIL, pooled: what attributes predict of a history is its mean step and its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.coldstart._signatures import signature, signature_size, unit_fields
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, Tensor, mean_behavior, with_generated_behavior
from mailcli.models.history_length import HistoryLength
from mailcli.models.layers import Dropout, leaky_relu
from mailcli.utils.option_checks import check_rates


class ColdStart(ColdStartMethod):
    """MAIL, pooled: its tower for the mean step and length of a history (ours; after Feng et al., CIKM 2021).

    x̂(a) = Dense_d(h_k), h_i = LeakyReLU(Dense(Dropout(h_{i-1}))), h_0 = [e_f / ||e_f||] over the attributes f but the
    user id; n̂(a) is read off h_k. A new user's history is n̂ steps x̂, so Σ v̂_i = n̂ x̂. G_A trains it over impressions
    of old users:

        L_x = Σ_b n_b ||x̂(a_b) - x̄_b||² / Σ_b n_b ||x̄ - x̄_b||²,    x̄_b the mean of the n_b steps of b, x̄ of all

    which is the unexplained share of the variance, 1 for x̂ = x̄. Three things differ from MAIL's tower (Eqs. 1-8). It
    predicts E[mean step | a] instead of n_v ordered steps, whose order is noise given a. Attributes are scaled to
    length 1 and concatenated instead of summed by attention, which keeps combinations of values apart even before the
    click loss has moved their embeddings. And the user id, which says nothing about other users, is left out. The
    gradient to the embeddings is stopped, as in MAIL.

    Args:
        units: widths of the hidden layers (ours).
        dropout: dropout rate before each hidden layer (ours).
    """

    generates = True

    def __init__(self, units: Sequence[int] = (512, 256), dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not units or min(units) < 1:
            raise ValueError(f"`units` should be one or more widths of 1 or more. Received: {tuple(units)}")
        check_rates(dropout=dropout)
        self.units, self.dropout = tuple(units), dropout

    @property
    def co_trained(self) -> bool:
        """True: G_A trains it with L_x, and the length with L_n."""
        return True

    def build_for(self, spec: Spec) -> None:
        """Make the layers."""
        self.n_v, self.id_index, self.fields = spec.history, spec.id_index, spec.n_a - 1
        width = signature_size(spec)
        self.dropouts = [Dropout(self.dropout) for _ in self.units]
        self.hidden = [keras.layers.Dense(units) for units in self.units]
        self.last = keras.layers.Dense(spec.dim)
        for layer in (*self.hidden, self.last):
            layer.build((None, width))
            width = layer.units
        self.length = HistoryLength(spec.history)
        self.length.build((None, self.units[-1]))

    def zero_shot_losses(self, features: Features, training: bool = False) -> dict[str, Tensor]:
        """L_x over impressions of old users; L_n trains the length of v̂, and nothing else."""
        features = features.frozen()
        code = self._code(signature(features.attributes, self.id_index), training)
        steps = tf.math.count_nonzero(features.behavior_mask, axis=1, dtype=tf.float32)
        mean_step = tf.cast(mean_behavior(features), tf.float32)
        errors = tf.reduce_sum(tf.math.squared_difference(tf.cast(self.last(code), tf.float32), mean_step), axis=1)
        return {
            "L_x": tf.math.divide_no_nan(tf.reduce_sum(steps * errors), _total_variation(mean_step, steps)),
            "L_n": self.length.loss(code, features.behavior_mask),
        }

    def _code(self, signatures: Tensor, training: bool) -> Tensor:
        """h_k [B, units] of the attributes [B, (n_a - 1) d]."""
        h = unit_fields(signatures, self.fields)
        for dropout, dense in zip(self.dropouts, self.hidden, strict=True):
            h = leaky_relu(dense(dropout(h, training=training)))
        return h

    def generate(self, attributes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """v̂ [B, n_v, d] of a [B, n_a, d]; Σ v̂_i = n̂ x̂ [B, d]; and which steps count [B, n_v]. Without dropout."""
        code = self._code(signature(tf.stop_gradient(attributes), self.id_index), training=False)
        mean_step, step_mask = self.last(code), self.length(code)
        count = tf.math.count_nonzero(step_mask, axis=1, keepdims=True, dtype=mean_step.dtype)
        return tf.tile(mean_step[:, None], [1, self.n_v, 1]), count * mean_step, step_mask

    def complete(self, features: Features, training: bool = False) -> Features:
        """Put v̂ in place of v where flag is true, MAIL Eq. (10)."""
        del training
        return with_generated_behavior(features, self.generate)


def _total_variation(mean_steps: Tensor, steps: Tensor) -> Tensor:
    """Σ_b n_b ||x̄_b - x̄||², x̄ the mean of all steps, over the whole batch."""
    count, total = (
        distribute.all_reduce_sum(x) for x in (tf.reduce_sum(steps), tf.reduce_sum(steps[:, None] * mean_steps, axis=0))
    )
    squares = tf.math.squared_difference(mean_steps, tf.math.divide_no_nan(total, count))
    return distribute.all_reduce_sum(tf.reduce_sum(steps[:, None] * squares))
