"""Attributes regressed to latent factors of graded actions."""

from __future__ import annotations

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._factors import FactorModel
from mailcli.trivial._outcomes import Outcomes, grade_outcomes


class TrivialRow(FactorModel):
    """item-grade-bias, plus attributes regressed to latent factors of grades (Gantner et al., ICDM 2010)."""

    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """Graded actions."""
        return grade_outcomes(dataset, view)
