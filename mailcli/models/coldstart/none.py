"""No cold-start method: new users are ranked with an empty history. The baseline of every RI."""

from __future__ import annotations

from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features


class ColdStart(ColdStartMethod):
    """None: new users keep their empty histories; the baseline of every RI."""

    def complete(self, features: Features, training: bool = False) -> Features:
        """The features unchanged."""
        del training
        return features
