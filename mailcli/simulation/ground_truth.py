"""True click probabilities of a simulated dataset: its world, rebuilt from the settings that the dataset keeps."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.metrics.auc import auc
from mailcli.simulation.world import INTERESTS, Settings, World

#: The simulator's setting that holds the true probabilities' AUC on the test day.
_CEILING = "ceiling_auc"


class Truth:
    """The probability that a user clicks an item, for the users and items of a dataset.

    Args:
        dataset: a simulated dataset with all its users.

    Raises:
        MailError: the data is real or sampled, or its world cannot be rebuilt.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._settings = _settings(dataset)
        self._world = World(self._settings)
        raw = np.asarray(dataset.column("users", "raw"))
        order = np.argsort(raw)
        self._theta = np.full((len(raw), INTERESTS), np.nan)
        for chunk in self._world.chunks():
            row = order[np.searchsorted(raw, chunk.ids, sorter=order) % len(raw)]
            known = raw[row] == chunk.ids
            self._theta[row[known]] = chunk.theta[known]
        self._ad = np.asarray(dataset.column("items", "raw")) - 1
        self._check(dataset)

    @property
    def has_conversions(self) -> bool:
        """Whether clicks may lead to purchases."""
        return self._settings.conversions

    def click(self, user: NDArray, item: NDArray) -> NDArray[np.float64]:
        """P(click), [N], by rows of users and items."""
        return self._world.click(self._affinity(user, item))

    def buy(self, user: NDArray, item: NDArray) -> NDArray[np.float64]:
        """P(buy | click), [N], by rows of users and items."""
        return self._world.buy(self._affinity(user, item))

    def _affinity(self, user: NDArray, item: NDArray) -> NDArray[np.float64]:
        ad = self._ad[item]
        return self._world.affinity(self._world.log_interest(self._theta[user], ad), ad)

    def _check(self, dataset: Dataset) -> None:
        """On the test day, the true probabilities must reach exactly the AUC that the simulator noted (MailError)."""
        error = MailError(
            f"{dataset.folder}: its world cannot be rebuilt from the simulator's settings, so the true probabilities "
            "are not known (it was simulated by another version). Simulate and preprocess it again."
        )
        if np.isnan(self._theta).any() or self._ad.min() < 0 or self._ad.max() >= self._world.ads:
            raise error
        # In float32, like the simulator's, for the same ties.
        score = self.click(dataset.column("test", "user"), dataset.column("test", "item")).astype(np.float32)
        if auc(dataset.column("test", "click"), score) != (dataset.simulation or {}).get(_CEILING):
            raise error


def _settings(dataset: Dataset) -> Settings:
    """The settings that the dataset was simulated with (MailError)."""
    simulation = dataset.simulation
    if simulation is None:
        raise MailError(
            f"{dataset.folder}: '{dataset.name}' is real data, so the true probabilities of a click are not known. "
            "Expected a dataset made from files of `mail simulate`."
        )
    if dataset.manifest.get("sample", 1.0) != 1.0:
        raise MailError(
            f"{dataset.folder}: holds {dataset.manifest['sample'] * 100:g}% of the simulated users, so its world "
            "cannot be checked against what the simulator noted. Preprocess it without --sample."
        )
    names = [field.name for field in fields(Settings)]
    settings: dict[str, Any] = {name: simulation[name] for name in names if name in simulation}
    try:
        return Settings(**settings)
    except TypeError as error:
        raise MailError(
            f"{dataset.folder}: does not keep the simulator's settings ({error}). Simulate and preprocess it again."
        ) from error
