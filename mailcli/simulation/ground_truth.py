"""The true probabilities of a simulated dataset: its world made again from the settings that the dataset keeps."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.metrics.auc import auc
from mailcli.simulation.world import INTERESTS, Settings, World

#: What the simulator noted of the test day.
_CEILING = "ceiling_auc"


class Truth:
    """Who clicks what with which probability, for the users and items of a dataset.

    Args:
        dataset: a simulated dataset of all its users.

    Raises:
        MailError: the data is real, was sampled, or its world cannot be made again.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._settings = _settings(dataset)
        self._world = World(self._settings)
        raw = np.asarray(dataset.column("users", "raw"))
        order = np.argsort(raw)
        self._theta = np.full((len(raw), INTERESTS), np.nan)
        for chunk in self._world.chunks():
            place = order[np.searchsorted(raw, chunk.ids, sorter=order) % len(raw)]
            known = raw[place] == chunk.ids
            self._theta[place[known]] = chunk.theta[known]
        self._ad = np.asarray(dataset.column("items", "raw")) - 1
        self._check(dataset)

    @property
    def has_conversions(self) -> bool:
        """Whether what is clicked may be bought."""
        return self._settings.conversions

    def click(self, user: NDArray, item: NDArray) -> NDArray[np.float64]:
        """P(click), of rows of the dataset [N]."""
        return self._world.click(self._pull(user, item))

    def buy(self, user: NDArray, item: NDArray) -> NDArray[np.float64]:
        """P(buy | click), of rows of the dataset [N]."""
        return self._world.buy(self._pull(user, item))

    def _pull(self, user: NDArray, item: NDArray) -> NDArray[np.float64]:
        return self._world.pull(self._theta[user], self._ad[item])

    def _check(self, dataset: Dataset) -> None:
        """The true probabilities must reach, on the test day, the very AUC that the simulator noted (MailError)."""
        wrong = MailError(
            f"{dataset.folder}: its world cannot be made again from the simulator's settings, so the true "
            "probabilities are not known (it was simulated by another version). Simulate and preprocess it again."
        )
        if np.isnan(self._theta).any() or self._ad.min() < 0 or self._ad.max() >= self._world.ads:
            raise wrong
        # In float32, as the simulator has it: ties are the same then.
        score = self.click(dataset.column("test", "user"), dataset.column("test", "item")).astype(np.float32)
        found = auc(dataset.column("test", "click"), score)
        if found != (dataset.simulation or {}).get(_CEILING):
            raise wrong


def _settings(dataset: Dataset) -> Settings:
    """What the dataset was simulated with (MailError)."""
    noted = dataset.simulation
    if noted is None:
        raise MailError(
            f"{dataset.folder}: '{dataset.name}' is real data, so the true probabilities of a click are not known. "
            "Expected a dataset made of the files of `mail simulate`."
        )
    if dataset.manifest.get("sample", 1.0) != 1.0:
        raise MailError(
            f"{dataset.folder}: holds {dataset.manifest['sample'] * 100:g}% of the simulated users, so its world "
            "cannot be checked against what the simulator noted. Preprocess it without --sample."
        )
    kept: dict[str, Any] = {each.name: noted[each.name] for each in fields(Settings) if each.name in noted}
    try:
        return Settings(**kept)
    except TypeError as error:
        raise MailError(
            f"{dataset.folder}: does not keep the simulator's settings ({error}). Simulate and preprocess it again."
        ) from error
