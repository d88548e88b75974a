"""Masks for single training impressions: a user's id and history are hidden, or the history is shortened."""

from __future__ import annotations

from typing import Any

from mailcli.models.coldstart._row_masks import RowMaskingMethod
from mailcli.utils.option_checks import check_rates


class ColdStart(RowMaskingMethod):
    """Masked: id and history hidden together in random training impressions (after AdaF2M2, arXiv 2025).

    AdaF2M2 (arXiv 2501.15816) masks features at random; that it is these two, both or neither, is ours. The impressions
    are drawn anew in every step. The ranker learns from every user what it should say of a new one, and UNKNOWN is
    trained as new users read it; nothing is generated, and nothing changes at inference.

    Args:
        rate: share of the training impressions that are masked (ours). 0 needs `prefix`.
        prefix: whether each of the others keeps only its oldest k behaviors, k drawn uniformly from 0 to all of them,
            so that one model covers histories of every length (ours).
    """

    def __init__(self, rate: float = 0.5, prefix: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_rates(rate=rate)
        if not (rate or prefix):
            raise ValueError(f"`rate` should be above 0 unless `prefix` is true. Received: rate={rate}")
        self.rate, self.prefix = rate, prefix
