"""One file per figure of `mail plot`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RunFigures(ABC):
    """What `mail plot NAME` draws of finished runs. A subclass is the class `Plot` of its module."""

    @abstractmethod
    def draw(self, runs: Sequence[RunFolder], data_dir: Path) -> dict[str, Figure]:
        """Draw the figures.

        Args:
            runs: finished runs with the same protocol and share of new users.
            data_dir: folder of the datasets, for figures that score users again.

        Returns:
            The figures by the name of their files.

        Raises:
            MailError: the runs do not have what the figure shows.
        """
