"""Item bias of clicks."""

from __future__ import annotations

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.trivial._biases import BiasModel
from mailcli.trivial._outcomes import Outcomes, click_outcomes


class TrivialRow(BiasModel):
    """Item bias of clicks, the users' bias removed: alternating shrunk means (Bell and Koren, ICDM 2007)."""

    def outcomes(self, dataset: Dataset, view: View) -> Outcomes:
        """Clicks."""
        return click_outcomes(dataset, view)
