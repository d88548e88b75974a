"""Checks of the splits that a run is made from, before it begins."""

from __future__ import annotations

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.errors import MailError


def checked_views(dataset: Dataset, config: RunConfig) -> dict[str, View]:
    """The splits of a run (MailError if one has no impressions, or the draw leaves no new or no old users for it).

    The draw is made from all users of the dataset: which users the test split shows is not read before training ends.
    """
    splits = views(dataset, config)
    for name, view in splits.items():
        masks = (view.new, view.treated_as_new[view.rows])
        nobody_new = not any(mask.any() for mask in masks) and (name != "train" or config.train_as_new > 0)
        if not len(view.rows) or any(mask.all() for mask in masks) or nobody_new:
            raise MailError(
                f"seed {config.seed}, new_share {config.new_share}, train_as_new {config.train_as_new}: the draw of "
                f"new users leaves the {name} split without impressions, or without new or old users. Expected more "
                "users, or another new_share or train_as_new."
            )
    return splits
