"""Who is new: the two protocols, applied to a dataset when a run starts."""

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
    """Impressions of the split that take part."""
    new: Mask
    """[users], users whose behaviors are hidden in this split."""
    anonymous: Mask
    """[users], users whose id is hidden (it counts as unknown) in this split."""


def views(dataset: Dataset, config: RunConfig) -> dict[str, View]:
    """Train, validation and test under a protocol, for the config's seed and share of new users.

    paper: the drawn users lose their behaviors in every split; impressions and ids stay (MAIL Sec. 4.1.1).

    strict: the drawn users have no impression in train. A second draw among the others plays new while training.
    Both are unknown by id, so that the id's embedding for new users is a trained one.
    """
    raw = dataset.column("users", "raw")
    new = share_of_users(raw, config.new_share, salt=2 * config.seed)
    rows = {name: np.arange(dataset.counts[name]) for name in SPLITS}
    nobody = np.zeros_like(new)
    if config.protocol == "paper":
        return {name: View(name, rows[name], new, nobody) for name in SPLITS}
    playing = share_of_users(raw, config.new_share, salt=2 * config.seed + 1) & ~new
    rows["train"] = rows["train"][~new[dataset.column("train", "user")]]
    hidden = {"train": playing, "validation": new, "test": new}
    return {name: View(name, rows[name], hidden[name], hidden[name]) for name in SPLITS}
