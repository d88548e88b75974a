"""The idea of DropoutNet (Volkovs et al., NeurIPS 2017), applied to users' histories."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, without_behaviors


class ColdStart(ColdStartMethod):
    """Dropout: histories hidden at random in training (DropoutNet, Volkovs et al., NeurIPS 2017).

    The ranker learns to do without behavior; nothing is generated, and nothing changes at inference. The cheapest
    baseline: another method must beat it to be worth its cost.

    Args:
        rate: share of old users' impressions whose history is hidden (DropoutNet's 0.5).
    """

    def __init__(self, rate: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < rate < 1:
            raise ValueError(f"`rate` should be between 0 and 1. Received: {rate}")
        self.rate = rate

    def build_for(self, spec: Spec) -> None:
        """Make the random generator; here, after the ranker, so that the ranker's initialization does not change."""
        del spec
        self.random = keras.random.SeedGenerator()

    def complete(self, features: Features, training: bool = False) -> Features:
        """In training, empty some histories; at inference, return the features unchanged."""
        if not training:
            return features
        hidden = distribute.uniform(tf.cast(features.is_new, tf.float32), self.random) < self.rate
        return without_behaviors(features, hidden)
