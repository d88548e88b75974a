"""A run needs new and old users in each of its splits, and not only in the dataset."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.training.dataset_checks import checked_views

CONFIG = make_config([{"data": "tiny", "protocol": "paper"}])


class OneKindInTheTest(Dataset):
    """A dataset whose test split has impressions of new users only, or of old users only."""

    kind: bool

    def column(self, table: str, name: str) -> NDArray:
        column = super().column(table, name)
        if (table, name) != ("test", "user"):
            return column
        return np.full(len(column), np.flatnonzero(views(Dataset(self.folder), CONFIG)["test"].new == self.kind)[0])


def test_a_dataset_with_both_kinds_is_fine(tiny: Dataset) -> None:
    assert list(checked_views(tiny, CONFIG)) == ["train", "validation", "test"]


@pytest.mark.parametrize("kind", [True, False])
def test_a_split_with_one_kind_of_users_is_refused(tiny: Dataset, kind: bool) -> None:
    dataset = OneKindInTheTest(tiny.folder)
    dataset.kind = kind
    with pytest.raises(MailError) as error:
        checked_views(dataset, CONFIG)
    assert error.value.message == (
        "seed 0, new_share 0.4: the draw of new users leaves the test split without impressions, or without new or old "
        "users. Expected more users, or another share."
    )
