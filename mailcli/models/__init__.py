"""From a batch to features, logits and gradients; what a ranker or method of your own needs is exported here."""

from mailcli.utils.keras_startup import import_keras

# Before any module of this package imports Keras, which reads the user's keras.json when it is imported.
import_keras()

from mailcli.models.batch_masks import hide_users, history_lengths, keep_oldest_behaviors  # noqa: E402
from mailcli.models.contracts import ColdStartMethod, RankingTower, TrainingData, TrainingRows  # noqa: E402
from mailcli.models.features import (  # noqa: E402
    Features,
    Spec,
    mean_behavior,
    replace_behaviors,
    with_generated_behavior,
    without_behaviors,
)
from mailcli.models.layers import (  # noqa: E402
    AttentionPooling,
    BatchNormalization,
    Dropout,
    ResidualDecoder,
    ResidualEncoder,
)
from mailcli.models.losses import click_loss, kl_divergence, mmd2, squared_error  # noqa: E402

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
    "TrainingRows",
    "click_loss",
    "hide_users",
    "history_lengths",
    "keep_oldest_behaviors",
    "kl_divergence",
    "mean_behavior",
    "mmd2",
    "replace_behaviors",
    "squared_error",
    "with_generated_behavior",
    "without_behaviors",
]
