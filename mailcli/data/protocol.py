"""Which users are new: the two protocols, applied to a dataset when a run starts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.hashing import share_of_users
from mailcli.data.schema import SPLITS

Mask = NDArray[np.bool_]


class View(NamedTuple):
    """A split as a run sees it."""

    split: str
    rows: NDArray[np.int64]
    """The impressions of the split that are used."""
    new: Mask
    """[users], users whose behaviors are hidden in this split."""
    anonymous: Mask
    """[users], users whose id is hidden in this split: it is read as UNKNOWN."""


def views(dataset: Dataset, config: RunConfig) -> dict[str, View]:
    """The train, validation and test splits under the config's protocol, seed and share of new users.

    paper: the drawn users lose their behaviors in every split but keep their impressions and ids (MAIL Sec. 4.1.1).

    strict: the drawn users have no impressions in train. A second draw, from the other users, is treated as new during
    training. The ids of both are UNKNOWN, so that the embedding that stands for a new user's id is trained.
    """
    raw = dataset.column("users", "raw")
    new = share_of_users(raw, config.new_share, salt=2 * config.seed)
    rows = {name: np.arange(dataset.counts[name]) for name in SPLITS}
    nobody = np.zeros_like(new)
    if config.protocol == "paper":
        return {name: View(name, rows[name], new, nobody) for name in SPLITS}
    simulated_new = share_of_users(raw, config.new_share, salt=2 * config.seed + 1) & ~new
    rows["train"] = rows["train"][~new[dataset.column("train", "user")]]
    hidden = {"train": simulated_new, "validation": new, "test": new}
    return {name: View(name, rows[name], hidden[name], hidden[name]) for name in SPLITS}
