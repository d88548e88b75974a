from __future__ import annotations

import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.hashing import share_of_users
from mailcli.data.protocol import views
from mailcli.data.schema import UNKNOWN


def config(**settings: object) -> RunConfig:
    return make_config([{"data": "tiny", **settings}])


def test_paper_hides_the_same_users_everywhere_and_keeps_their_impressions(tiny: Dataset) -> None:
    found = views(tiny, config())
    for name, view in found.items():
        np.testing.assert_array_equal(view.rows, np.arange(tiny.counts[name]))
        np.testing.assert_array_equal(view.new, found["test"].new)
        assert not view.anonymous.any()
    assert 0.3 < found["train"].new.mean() < 0.5


def test_strict_keeps_new_users_out_of_training(tiny: Dataset) -> None:
    found = views(tiny, config(protocol="strict"))
    new = found["test"].new
    trained = np.unique(tiny.column("train", "user")[found["train"].rows])
    assert not new[trained].any(), "a new user of the test has a training impression"
    playing = found["train"].new
    assert not (playing & new).any()
    # 40 % of the 60 % that are left.
    assert 0.15 < playing.mean() < 0.35
    np.testing.assert_array_equal(found["validation"].new, new)


def test_strict_hides_the_ids_of_new_users(tiny: Dataset) -> None:
    c = config(protocol="strict", history=10)
    for name, view in views(tiny, c).items():
        batch = Batches(tiny, view, 10, 4096).gather(view.rows)
        hidden = view.new[tiny.column(name, "user")[view.rows]]
        assert hidden.any()
        assert not hidden.all()
        assert (batch["attributes"][hidden, 0] == UNKNOWN).all()
        ids = tiny.column("users", "user")[tiny.column(name, "user")[view.rows]]
        np.testing.assert_array_equal(batch["attributes"][~hidden, 0], ids[~hidden])


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_seeds_draw_differently_and_repeatably(tiny: Dataset, protocol: str) -> None:
    one, same, other = (views(tiny, config(protocol=protocol, seed=s))["test"].new for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_user_is_drawn_by_id_not_by_place() -> None:
    raw = np.arange(1000)
    drawn = set(raw[share_of_users(raw, 0.3, 7)])
    order = np.random.default_rng(0).permutation(1000)
    assert set(raw[order][share_of_users(raw[order], 0.3, 7)]) == drawn
    assert 250 < len(drawn) < 350


def test_a_larger_share_keeps_the_smaller_one() -> None:
    raw = np.arange(1000)
    assert not (share_of_users(raw, 0.2, 1) & ~share_of_users(raw, 0.4, 1)).any()


def test_ids_may_be_texts() -> None:
    raw = np.array([f"user-{i}" for i in range(1000)])
    assert 330 < share_of_users(raw, 0.4, 0).sum() < 470
