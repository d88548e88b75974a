from __future__ import annotations

import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.data.schema import UNKNOWN


def config(**settings: object) -> RunConfig:
    return make_config([{"data": "tiny", **settings}])


def test_paper_hides_the_same_users_everywhere_and_keeps_their_impressions(tiny: Dataset) -> None:
    splits = views(tiny, config())
    for name, view in splits.items():
        np.testing.assert_array_equal(view.rows, np.arange(tiny.counts[name]))
        np.testing.assert_array_equal(view.new, splits["test"].new)
        assert not view.anonymous.any()
    assert 0.3 < splits["train"].new.mean() < 0.5


def test_strict_keeps_new_users_out_of_training(tiny: Dataset) -> None:
    splits = views(tiny, config(protocol="strict"))
    new = splits["test"].new
    trained = np.unique(tiny.column("train", "user")[splits["train"].rows])
    assert not new[trained].any(), "a new user of the test split has a training impression"
    simulated_new = splits["train"].new
    assert not (simulated_new & new).any()
    # 40 % of the remaining 60 %.
    assert 0.15 < simulated_new.mean() < 0.35
    np.testing.assert_array_equal(splits["validation"].new, new)


def test_strict_hides_the_ids_of_new_users(tiny: Dataset) -> None:
    strict = config(protocol="strict", history=10)
    for name, view in views(tiny, strict).items():
        batch = Batches(tiny, view, 10, 4096).gather(view.rows)
        hidden = view.new[tiny.column(name, "user")[view.rows]]
        assert hidden.any()
        assert not hidden.all()
        assert (batch["attributes"][hidden, 0] == UNKNOWN).all()
        ids = tiny.column("users", "user")[tiny.column(name, "user")[view.rows]]
        np.testing.assert_array_equal(batch["attributes"][~hidden, 0], ids[~hidden])


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_seeds_draw_differently_and_repeatably(tiny: Dataset, protocol: str) -> None:
    new, repeated, other_seed = (views(tiny, config(protocol=protocol, seed=s))["test"].new for s in (0, 0, 1))
    np.testing.assert_array_equal(new, repeated)
    assert not np.array_equal(new, other_seed)
