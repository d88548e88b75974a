"""The last impression of each user, by hand."""

from __future__ import annotations

import numpy as np

from mailcli.data.last_impressions import last_impressions


def test_the_last_of_some_rows_of_each_user() -> None:
    rows, users = np.array([1, 2, 5, 6, 9]), np.array([7, 7, 3, 4, 4])
    # By user: 3, 4 and 7.
    assert last_impressions(rows, users).tolist() == [5, 9, 2]
    assert last_impressions(rows[:0], users[:0]).tolist() == []
