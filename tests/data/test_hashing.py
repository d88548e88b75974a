from __future__ import annotations

import numpy as np

from mailcli.data.hashing import share_of_users


def test_a_user_is_drawn_by_id_not_by_place() -> None:
    raw = np.arange(1000)
    drawn = set(raw[share_of_users(raw, 0.3, 7)])
    order = np.random.default_rng(0).permutation(1000)
    assert set(raw[order][share_of_users(raw[order], 0.3, 7)]) == drawn
    assert 250 < len(drawn) < 350


def test_a_larger_share_keeps_the_smaller_one() -> None:
    raw = np.arange(1000)
    assert not (share_of_users(raw, 0.2, 1) & ~share_of_users(raw, 0.4, 1)).any()


def test_ids_may_be_strings() -> None:
    raw = np.array([f"user-{i}" for i in range(1000)])
    assert 330 < share_of_users(raw, 0.4, 0).sum() < 470
