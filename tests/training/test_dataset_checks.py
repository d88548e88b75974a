"""Splits of which nothing could be learned or measured."""

from __future__ import annotations

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.training.dataset_checks import checked_views


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_a_draw_that_makes_nobody_new_in_training_is_refused(protocol: str, tiny: Dataset) -> None:
    config = make_config([{"data": "tiny", "protocol": protocol, "seed": 4, "train_as_new": 1e-9}])
    with pytest.raises(MailError) as error:
        checked_views(tiny, config)
    assert error.value.message == (
        "seed 4, new_share 0.4, train_as_new 1e-09: the draw of new users leaves the train split without impressions, "
        "or without new or old users. Expected more users, or another new_share or train_as_new."
    )
