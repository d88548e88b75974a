from __future__ import annotations

import numpy as np
import pytest

from mailcli.data.hashing import hash_users, share_of_users


@pytest.mark.parametrize(
    ("salt", "expected"), [(0, 0xE220A8397B1DCDAF), (1, 0x6E789E6AA1B965F4), (2, 0x06C45D188009454F)]
)
def test_id_0_has_the_published_numbers_of_splitmix64(salt: int, expected: int) -> None:
    """The first outputs of SplitMix64 with seed 0 (Steele et al., OOPSLA 2014): every published run draws with them."""
    assert int(hash_users(np.array([0]), salt)[0]) == expected


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
