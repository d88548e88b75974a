"""POSO, personalized cold-start modules (Dai et al., arXiv 2108.04690, 2021), as gates on what any ranker reads."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models.coldstart._row_masks import RowMaskingMethod
from mailcli.models.coldstart._signatures import signature, unit_fields
from mailcli.models.features import Features, Spec, Tensor
from mailcli.utils.option_checks import check_least, check_rates

#: C of POSO Eq. (6), which gives no value. 2 σ(0) = 1 (ours): the first step begins with the ranker as it is.
CORRECTION = 2.0


class ColdStart(RowMaskingMethod):
    """POSO: gates by the number of behaviors scale what the ranker reads (Dai et al., arXiv 2108.04690, 2021).

    Each number x_q that a ranker reads of a, v, c, t, the query and the dense features becomes C g_q x_q, with
    g = σ(W2 relu(W1 pc)), of the width of all of them together. pc, the code of a user's group, is the bucket of the
    number of behaviors, 0 (new), 1, 2-3, 4-7, ..., and the attributes other than the id. The click loss trains g.

    Relation to POSO: x̂ = C Σ_i g(pc)_i W_i x, Eq. (7), for the first layer of a ranker that is linear in what it
    reads, in the special case of a copy W_i per input, which keeps that input's column of W and is 0 elsewhere. (The
    paper takes a copy per output, Eq. (10), and gates the inside of all layers; a method does not know these.) It is
    not POSO where a ranker first multiplies or attends, nor for the wide parts and item vectors of rankers, which are
    not gated. The paper's best code is the bucket of the number of impressions shown, which our batches do not have.

    Args:
        rate: share of the training impressions that are masked as in `masked` (ours), so that the gates learn what to
            do for new users, whom protocol `strict` keeps out of training; with 0, only the gates are added.
        prefix: whether each of the others keeps only its oldest k behaviors, k drawn uniformly from 0 to all of them,
            so that the gates see histories of every length (ours).
        attributes: whether pc holds the attributes, each scaled to length 1 (ours: embeddings begin far below 1), with
            gradients to them stopped. The paper's best code has none; all features as code did worse than no gates.
        units: hidden width of the gates' network, of two layers as in the paper (ours: it gives no width).
    """

    def __init__(
        self, rate: float = 0.5, prefix: bool = False, attributes: bool = True, units: int = 64, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_rates(rate=rate)
        check_least(1, units=units)
        self.rate, self.prefix = rate, prefix
        self.with_attributes, self.units = attributes, units

    def build_for(self, spec: Spec) -> None:
        """Make the gates' network."""
        super().build_for(spec)
        self.id_index = spec.id_index
        # Buckets by the number of binary digits of the number of behaviors.
        self.bucket_starts = tuple(2**digits for digits in range(spec.history.bit_length()))
        vectors = spec.n_a + len(spec.schema.group("context")) + len(spec.schema.group("target")) + 2
        self.code_attributes = (spec.n_a - 1) * self.with_attributes
        code = 1 + len(self.bucket_starts) + self.code_attributes * spec.dim
        # float32 whatever the precision, as the embeddings are.
        self.hidden = keras.layers.Dense(self.units, activation="relu", dtype="float32")
        self.hidden.build((None, code))
        self.gate = keras.layers.Dense(
            vectors * spec.dim + len(spec.schema.dense), "sigmoid", kernel_initializer="zeros", dtype="float32"
        )
        self.gate.build((None, self.units))

    def mask_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mask some impressions, unless both options are off."""
        return super().mask_batch(batch) if self.rate or self.prefix else batch

    def complete(self, features: Features, training: bool = False) -> Features:
        """Everything that the ranker reads, of new and of old users, times its gates."""
        del training
        parts = {
            "attributes": features.attributes,
            "behavior_sum": features.behavior_sum,
            "context": features.context,
            "target": features.target,
            "query": features.query,
            "dense": features.dense,
        }
        rows = tf.shape(features.is_new)[0]
        sizes = [x.shape[1:].num_elements() for x in parts.values()]
        gates = {
            name: tf.reshape(gate, [rows, *x.shape[1:]])
            for (name, x), gate in zip(parts.items(), tf.split(self.gates(features), sizes, axis=1), strict=True)
        }
        # Every step has the same gates, so that the steps still add up to `behavior_sum`.
        behaviors = features.behaviors * gates["behavior_sum"][:, None]
        return features._replace(behaviors=behaviors, **{name: x * gates[name] for name, x in parts.items()})

    def gates(self, features: Features) -> Tensor:
        """C g, [B, n], between 0 and C, for all that the ranker reads of each impression."""
        return CORRECTION * self.gate(self.hidden(self._code(features)))

    def _code(self, features: Features) -> Tensor:
        """pc [B, m]."""
        count = tf.math.count_nonzero(features.behavior_mask, axis=1, dtype=tf.int32)
        bucket = tf.math.count_nonzero(count[:, None] >= self.bucket_starts, axis=1, dtype=tf.int32)
        code = [tf.one_hot(bucket, 1 + len(self.bucket_starts))]
        if self.code_attributes:
            others = signature(tf.stop_gradient(features.attributes), self.id_index)
            code.append(unit_fields(others, self.code_attributes))
        return tf.concat(code, axis=1)
