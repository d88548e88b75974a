"""What a model may be shown, derived from the raw files without the dataset."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mailcli.data.hashing import share_of_users
from mailcli.data.schema import SPLITS
from tests.helpers.alimama import DAY, START
from tests.helpers.oracles import read_csv

#: Alimama's fields, as named in the published files; the last profile field has a blank in its header.
PROFILE = (
    "cms_segid",
    "cms_group_id",
    "final_gender_code",
    "age_level",
    "pvalue_level",
    "shopping_level",
    "occupation",
    "new_user_class_level",
)
AD = ("cate_id", "brand", "campaign_id", "customer")
ACTIONS = ("pv", "cart", "fav", "buy")
#: The vocabularies of a batch's columns: attributes, steps, context, target.
ATTRIBUTES = ("user", *PROFILE)
STEP = ("cate", "brand")
CONTEXT = ("pid", "hour", "weekday")
TARGET = ("item", "cate", "brand", "campaign", "customer")

Value = int | str | None
Values = tuple[Value, ...]


class Shown(NamedTuple):
    """An impression as a model sees it, in raw values; None is an unknown value."""

    user: int
    """The user's raw id, which no model sees."""
    attributes: Values
    steps: tuple[Values, ...]
    """(action, category, brand) of each behavior, the most recent last."""
    context: Values
    target: Values
    click: int

    def without_brands(self) -> Shown:
        """What Features contain: only the action and the first field of a step."""
        return self._replace(steps=tuple(step[:2] for step in self.steps))


class Impression(NamedTuple):
    """A row of raw_sample.csv."""

    user: int
    time: int
    ad: int
    pid: str
    click: int

    @property
    def day(self) -> int:
        return (self.time - START) // DAY

    @property
    def split(self) -> str:
        """Days 1-6 are the train split, day 7 is validation, day 8 test."""
        return SPLITS[max(self.day - 5, 0)]


class Draw(NamedTuple):
    """The users that a protocol makes new, by the hash of the raw id."""

    protocol: str
    new: set[int]
    """The test split's new users."""

    @classmethod
    def of(cls, users: Iterable[int], protocol: str, seed: int, share: float) -> Draw:
        raw = np.array(sorted(users))
        return cls(protocol, set(raw[share_of_users(raw, share, 2 * seed)].tolist()))

    def hidden(self, split: str) -> set[int]:
        """The users whose behaviors are hidden in a split; `strict` leaves them out of training."""
        return set() if self.protocol == "strict" and split == "train" else self.new


class Truth:
    """The raw files, read with Python's csv module, and what each impression may show."""

    def __init__(self, raw: Path, n_v: int) -> None:
        self.impressions = [
            Impression(int(row["user"]), int(row["time_stamp"]), int(row["adgroup_id"]), row["pid"], int(row["clk"]))
            for row in read_csv(raw / "raw_sample.csv")
        ]
        self.users = {impression.user for impression in self.impressions}
        ads = read_csv(raw / "ad_feature.csv")
        self._ads = {int(row["adgroup_id"]): tuple(number(row[key]) for key in AD) for row in ads}
        profiles = read_csv(raw / "user_profile.csv")
        self._profiles = {int(row["userid"]): tuple(number(row[key]) for key in PROFILE) for row in profiles}
        self._log: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        for row in read_csv(raw / "behavior_log.csv"):
            time = int(row["time_stamp"])
            # The 22 days up to the last impression day; the simulator also writes a few absurd times.
            if START - 14 * DAY <= time < START + 8 * DAY:
                step = (time, ACTIONS.index(row["btag"]), int(row["cate"]), int(row["brand"]))
                self._log[int(row["user"])].append(step)
        for steps in self._log.values():
            steps.sort()
        self._n_v = n_v
        #: The values that training impressions and their histories show, by vocabulary.
        self.known: dict[str, set[Value]] = defaultdict(set)
        for impression in self.impressions:
            if impression.split == "train":
                shown = self._shown(impression)
                self._add_known(ATTRIBUTES, shown.attributes)
                self._add_known(CONTEXT, shown.context)
                self._add_known(TARGET, shown.target)
                for _, *values in shown.steps:
                    self._add_known(STEP, tuple(values))

    def _add_known(self, names: tuple[str, ...], values: Values) -> None:
        for name, value in zip(names, values, strict=True):
            if value is not None:
                self.known[name].add(value)

    def _shown(self, impression: Impression) -> Shown:
        """An impression with nothing hidden or unknown."""
        log = self._log[impression.user]
        # (time,) is smaller than every step of that time, so all steps to its left are strictly earlier.
        end = bisect_left(log, (impression.time,))
        steps = tuple((ACTIONS[a], c, b) for _, a, c, b in log[max(end - self._n_v, 0) : end])
        profile = self._profiles.get(impression.user, (None,) * len(PROFILE))
        hour = (impression.time - START) % DAY // 3600
        context = (impression.pid, hour, impression.day % 7)
        user, ad = impression.user, impression.ad
        return Shown(user, (user, *profile), steps, context, (ad, *self._ads[ad]), impression.click)

    def expected(self, split: str, draw: Draw) -> Counter[Shown]:
        """What a split shows under a protocol, each impression as often as it is in the raw files.

        Training under `strict` shows each in one of its `forms`.
        """
        strict = draw.protocol == "strict"
        excluded = draw.new if strict and split == "train" else set()
        return Counter(
            self._view(impression, draw.hidden(split), strict)
            for impression in self.impressions
            if impression.split == split and impression.user not in excluded
        )

    def _view(self, impression: Impression, hidden: set[int], anonymous: bool) -> Shown:
        shown = self._shown(impression)
        attributes = self._ids(ATTRIBUTES, shown.attributes)
        steps = tuple((step[0], *self._ids(STEP, step[1:])) for step in shown.steps)
        if impression.user in hidden:
            steps = ()
            attributes = (None, *attributes[1:]) if anonymous else attributes
        target, context = self._ids(TARGET, shown.target), self._ids(CONTEXT, shown.context)
        return shown._replace(attributes=attributes, steps=steps, context=context, target=target)

    def _ids(self, names: tuple[str, ...], values: Values) -> Values:
        """The values that the vocabularies may hold; None for all others."""
        pairs = zip(names, values, strict=True)
        return tuple(value if value in self.known[name] else None for name, value in pairs)


def number(text: str) -> int | None:
    """A field of integers; an empty text and NULL are missing values."""
    return None if text in {"", "NULL"} else int(text)
