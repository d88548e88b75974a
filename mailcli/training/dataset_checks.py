"""Checks of the dataset that a run is made from: before it begins, and when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.errors import Interrupted, MailError


@contextmanager
def changes_of_dataset_reported(dataset: Dataset) -> Iterator[None]:
    """Report any error as one of the dataset, if that was overwritten in the meantime (MailError)."""
    try:
        yield
    except Interrupted:
        raise
    except Exception:
        dataset.check_files()
        raise


def checked_views(dataset: Dataset, config: RunConfig) -> dict[str, View]:
    """The splits of a run (MailError if one has no impressions, or lacks new or old users that it should have)."""
    splits = views(dataset, config)
    for name, view in splits.items():
        is_new = view.is_new(dataset.column(name, "user")[view.rows], view.rows)
        lacks_new = not is_new.any() and (name != "train" or config.train_as_new > 0)
        if lacks_new or is_new.all():
            raise MailError(
                f"seed {config.seed}, new_share {config.new_share}: the draw of new users leaves the {name} split "
                f"without impressions, or without new or old users. Expected more users, or another share."
            )
    return splits
