"""Privileged features distillation: in training, a teacher that sees real histories says what to learn without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.models import distribute
from mailcli.models.batch_masks import history_lengths
from mailcli.models.coldstart._row_masks import RowMaskingMethod
from mailcli.models.contracts import TrainingRows
from mailcli.models.features import Features, Tensor
from mailcli.utils.option_checks import check_least

LOSSES = ("pointwise", "listwise")
#: The values of the options that are names; `mail settings` reads them here.
CHOICES = {"loss": LOSSES}


class ColdStart(RowMaskingMethod):
    """PFD: a teacher that sees real histories says what to learn without them (Xu et al., KDD 2020).

    arXiv 1907.05171. As in `masked`, id and history are hidden in random training impressions, and nothing changes at
    inference. Where there is a history to hide, the label's loss L_s becomes (1 - λ) L_s + λ L_d. The teacher is the
    same ranker, trained before on the users of the other folds, with their histories but without ids; so nobody is
    taught by a teacher that was trained on them. It costs one more training per fold. With probabilities
    t_i of the teacher and p_i of the ranker,

    - pointwise: L_d = mean_i -t_i log p_i - (1 - t_i) log(1 - p_i);
    - listwise: L_d = -Σ_i t_i / T · log(p_i / P), T = Σ t_i and P = Σ p_i over the list: it teaches the order, and is
      smallest at p = t as the other is, so that probabilities stay calibrated, which a softmax of logits does not do
      (CLID, Gui et al., WSDM 2024, arXiv 2312.08727; normalized as by Bai et al., CIKM 2023, with the teacher's
      probabilities for labels). The list is the batch's taught impressions (ours; CLID's are pages).

    Args:
        rate: share of the training impressions that are masked (ours; that of `masked`).
        strength: λ, above 0 to 1 (ours). A teacher can be too strong (Yang et al., NeurIPS 2022).
        loss: pointwise or listwise.
        folds: number of folds of users, each with its own teacher (ours).
    """

    needs_old_users = True

    def __init__(
        self, rate: float = 0.5, strength: float = 0.5, loss: str = "pointwise", folds: int = 5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < rate < 1:
            raise ValueError(f"`rate` should be between 0 and 1. Received: {rate}")
        if not 0 < strength <= 1:
            raise ValueError(f"`strength` should be above 0 and at most 1. Received: {strength}")
        if loss not in LOSSES:
            raise ValueError(f"`loss` should be one of {LOSSES}. Received: loss={loss!r}")
        check_least(2, folds=folds)
        self.rate, self.prefix, self.folds = rate, False, folds
        self.strength, self.loss = strength, loss

    @property
    def teachers(self) -> int:
        """One per fold."""
        return self.folds

    def prepare(self, training: TrainingRows) -> NDArray[np.float32]:
        """[N], the teacher's logits."""
        return training.teach(self.teachers)

    def mask_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mask some impressions, and forget what the teacher says of those whose history is left."""
        masked = super().mask_batch(batch)
        taught = history_lengths(masked) == 0
        return masked | {"prepared": tf.where(taught, batch["prepared"], np.float32(np.nan))}

    def ranking_losses(self, features: Features, click: Tensor, logit: Tensor) -> dict[str, Tensor]:
        """L_pfd = λ (L_d - L_s) n / B, with n of B impressions taught: what the teacher changes in the click loss."""
        taught = tf.math.is_finite(features.prepared)
        teacher = tf.where(taught, features.prepared, 0.0)
        label_loss = distribute.mean_share(tf.where(taught, _cross_entropy(click, logit), 0.0))
        if self.loss == "pointwise":
            teacher_loss = distribute.mean_share(tf.where(taught, _cross_entropy(tf.sigmoid(teacher), logit), 0.0))
        else:
            teacher_loss = list_loss(teacher, logit, tf.cast(taught, tf.float32))
        return {"L_pfd": self.strength * (teacher_loss - label_loss)}


def _cross_entropy(probability: Tensor, logit: Tensor) -> Tensor:
    """[B], -q log σ(logit) - (1 - q) log(1 - σ(logit)) of probabilities q."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=probability, logits=logit)


def list_loss(teacher: Tensor, logit: Tensor, taught: Tensor) -> Tensor:
    """-Σ t_i / T · log(p_i / P) n / B over the n taught of B impressions; on several replicas, this one's share.

    Args:
        teacher, logit: [B], before the sigmoids.
        taught: [B], 1 for an impression of the list, 0 for another.
    """
    t, p = taught * tf.sigmoid(teacher), taught * tf.sigmoid(logit)
    weight = tf.math.divide_no_nan(t, distribute.all_reduce_sum(tf.reduce_sum(t)))
    # Above 0 (ours), so that its logarithm is finite without a taught impression, where the loss is 0.
    total = tf.maximum(distribute.all_reduce_sum(tf.reduce_sum(p)), 1e-30)
    cross_entropy = tf.reduce_sum(weight * (tf.math.log(total) - tf.math.log_sigmoid(logit)))
    return cross_entropy * distribute.all_reduce_sum(distribute.mean_share(taught))
