"""Attributes regressed to latent factors of clicks."""

from __future__ import annotations

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._factors import FactorModel
from mailcli.trivial._outcomes import Outcomes, click_outcomes


class TrivialRow(FactorModel):
    """item-bias, plus attributes regressed to latent factors of clicks (Gantner et al., ICDM 2010)."""

    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """Clicks."""
        return click_outcomes(dataset, view)
