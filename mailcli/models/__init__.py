"""From a batch to features, logits and gradients; what a ranker or method of your own needs is exported here."""

from mailcli.models.contracts import ColdStartMethod, RankingTower, TrainingData
from mailcli.models.features import (
    Features,
    Spec,
    invent_behaviors,
    mean_behavior,
    replace_behaviors,
    without_behaviors,
)
from mailcli.models.layers import AttentionPooling, BatchNormalization, Dropout, ResidualDecoder, ResidualEncoder
from mailcli.models.losses import click_loss, kl_divergence, mmd2, squared_error

__all__ = [
    "AttentionPooling",
    "BatchNormalization",
    "ColdStartMethod",
    "Dropout",
    "Features",
    "RankingTower",
    "ResidualDecoder",
    "ResidualEncoder",
    "Spec",
    "TrainingData",
    "click_loss",
    "invent_behaviors",
    "kl_divergence",
    "mean_behavior",
    "mmd2",
    "replace_behaviors",
    "squared_error",
    "without_behaviors",
]
