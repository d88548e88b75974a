"""Item bias of graded actions."""

from __future__ import annotations

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._biases import BiasModel
from mailcli.trivial._outcomes import Outcomes, grade_outcomes


class TrivialRow(BiasModel):
    """Item bias of graded actions, e.g. ratings, the users' bias removed (Bell and Koren, ICDM 2007)."""

    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """Graded actions."""
        return grade_outcomes(dataset, view)
