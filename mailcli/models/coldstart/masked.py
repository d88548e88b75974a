"""Row masks: users become new, or younger, for single training impressions."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.batch_masks import hide_users, history_lengths, keep_oldest_behaviors
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, Tensor


class ColdStart(ColdStartMethod):
    """Masked: id and history hidden together in random training impressions (after AdaF2M2, arXiv 2025).

    AdaF2M2 (arXiv 2501.15816) masks features at random; that it is these two, both or neither, is ours. The impressions
    are drawn anew in every step. The ranker learns from every user what it should say of a new one, and UNKNOWN is
    trained as new users read it; nothing is invented, and nothing changes at inference.

    Args:
        rate: share of the training impressions that are masked. 0 is for `prefix` alone.
        prefix: whether each of the others keeps only its oldest k behaviors, k drawn uniformly from 0 to all of them,
            so that one model knows users of every age.
    """

    def __init__(self, rate: float = 0.5, prefix: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` should be at least 0 and below 1. Received: {rate}")
        if not (rate or prefix):
            raise ValueError(f"`rate` should be above 0 unless `prefix` is true. Received: rate={rate}")
        self.rate, self.prefix = rate, prefix

    def build_for(self, spec: Spec) -> None:
        """Make the random generator; here, after the ranker, so that the ranker's initialization does not change."""
        self.id_column = spec.id_column
        self.random = keras.random.SeedGenerator()

    def mask_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mask some impressions, and shorten the histories of the others."""
        # Before histories become shorter: whether a row is masked does not depend on that.
        hidden = self._uniform(batch) < self.rate
        if self.prefix:
            length = history_lengths(batch)
            choices = tf.cast(length + 1, tf.float32)
            # Rounded, u (n + 1) can be n + 1 for u just below 1; a history then stays whole, as for n.
            batch = keep_oldest_behaviors(batch, tf.cast(self._uniform(batch) * choices, tf.int32))
        return hide_users(batch, hidden, self.id_column)

    def _uniform(self, batch: dict[str, Tensor]) -> Tensor:
        """U[0, 1) for each impression, [B]."""
        return distribute.uniform(tf.zeros_like(batch["click"]), self.random)

    def complete(self, features: Features, training: bool = False) -> Features:
        """The features unchanged: the batch has been masked before it was embedded."""
        del training
        return features

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "prefix": self.prefix}
