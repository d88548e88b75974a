"""Masks for single training impressions: the user becomes new, or the history is shortened."""

from __future__ import annotations

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.batch_masks import hide_users, history_lengths, keep_oldest_behaviors
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, Tensor


class RowMaskingMethod(ColdStartMethod):
    """A method that masks training impressions, drawn anew in every step.

    Subclasses set in their constructors:

    - rate: share of the training impressions whose user id and history are hidden together;
    - prefix: whether each of the others keeps only its oldest k behaviors, k drawn uniformly from 0 to all of them.
    """

    rate: float
    prefix: bool

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
