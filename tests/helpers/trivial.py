"""A dataset made by hand for trivial rows, and views of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.data.protocol import View
from mailcli.data.schema import Field, Schema

SCHEMA = Schema(
    (
        Field("user", "attributes", "user"),
        Field("gender", "attributes", "gender"),
        Field("item", "behavior", "item"),
        Field("item", "target", "item"),
        Field("genre", "target", "genre"),
    ),
    actions=("1", "2", "3", "4", "5"),
)
#: Of user 0 to 3, the ids of gender; of item 0 to 3, those of genre.
GENDER, GENRE = (2, 2, 3, 3), (2, 2, 3, 3)


class HandMade:
    """What trivial rows read of a dataset: four users of two genders, four items of two genres, ids 2 to 5 of both.

    Args:
        impressions: (user, item, click, time) of the training split, which later splits repeat.
        behaviors: (user, item, grade, time), sorted by user and time; each impression sees those before its time.
    """

    name, label = "hand-made", "hand-made"

    def __init__(
        self, impressions: Sequence[tuple[int, int, int, int]], behaviors: Sequence[tuple[int, int, int, int]] = ()
    ) -> None:
        self.schema: Any = SCHEMA
        self.counts = {"users": 4, "items": 4}
        self.vocabulary_sizes = {"user": 6, "item": 6, "gender": 4, "genre": 4}
        user, item, click, time = np.array(impressions, np.int64).T
        of, graded, grade, when = np.array(behaviors, np.int64).reshape(-1, 4).T
        self.offsets = np.searchsorted(of, np.arange(5))
        ends = [np.count_nonzero((of < u) | ((of == u) & (when < t))) for u, t in zip(user, time, strict=True)]
        self._columns: dict[str, NDArray] = {
            "train/user": user,
            "train/item": item,
            "train/click": click,
            "train/time": time,
            "train/history_end": np.array(ends),
            "users/user": np.arange(2, 6),
            "users/gender": np.array(GENDER),
            "items/item": np.arange(2, 6),
            "items/genre": np.array(GENRE),
            "behaviors/item": graded + 2,
            "behaviors/action": grade + 1,
            "behaviors/time": when,
        }

    def column(self, table: str, name: str) -> NDArray:
        """A column of the training split, the users, the items or the behaviors."""
        return self._columns[f"{table}/{name}"]

    def view(self, *new: int, rows: Sequence[int] | None = None, anonymous: Sequence[int] = ()) -> View:
        """The training split, where these users are new."""
        impressions = len(self._columns["train/user"])
        nothing = np.zeros(impressions, bool)
        places = np.arange(impressions) if rows is None else np.array(rows)
        hidden = [np.isin(np.arange(4), users) for users in (new, list(anonymous))]
        return View("train", places, hidden[0], hidden[1], nothing, nothing)
