"""No cold-start method: new users are ranked with an empty history. The baseline of every RI."""

from __future__ import annotations

from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features


class ColdStart(ColdStartMethod):
    """None: the features of new users as they are, the baseline of every RI."""

    def complete(self, features: Features, training: bool = False) -> Features:
        """The same features."""
        del training
        return features
