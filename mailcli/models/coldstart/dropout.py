"""DropoutNet's idea (Volkovs et al., NeurIPS 2017), for users' histories."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, without_behaviors


class ColdStart(ColdStartMethod):
    """Dropout: histories hidden at random while training (DropoutNet, Volkovs et al., NeurIPS 2017).

    The ranker learns to do without behavior; nothing is invented, and nothing is added at inference. The cheapest
    baseline, which another method must beat to be worth its cost.

    Args:
        rate: share of old users' impressions whose history is hidden (DropoutNet's 0.5).
    """

    def __init__(self, rate: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < rate < 1:
            raise ValueError(f"`rate` should be between 0 and 1. Received: {rate}")
        self.rate = rate

    def build_for(self, spec: Spec) -> None:
        """Make the source of random numbers; here, after the ranker, whose initialization it must not shift."""
        del spec
        self.random = keras.random.SeedGenerator()

    def complete(self, features: Features, training: bool = False) -> Features:
        """While training, some histories made empty; at inference, the same features."""
        if not training:
            return features
        hidden = distribute.uniform(tf.cast(features.is_new, tf.float32), self.random) < self.rate
        return without_behaviors(features, hidden)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
