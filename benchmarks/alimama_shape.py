"""A random dataset in Alimama's shape, to measure speed: its vocabulary sizes, full histories, Zipf's law.

The values are meaningless. What matters for time is how often ids repeat and how far apart their rows are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, SPLITS
from mailcli.data.writer import DatasetWriter
from mailcli.preprocessing.sources.alimama import ACTIONS, Source

#: Number of ids in the published files; they add up to 3.14 million rows.
VOCABULARIES = {
    "user": 1_141_730,
    "item": 846_812,
    "cate": 12_978,
    "campaign": 423_437,
    "customer": 255_876,
    "brand": 461_529,
}
#: Number of ids of the small vocabularies: the published cardinalities, plus missing, padding and unknown.
SMALL = {
    "cms_segid": 99,
    "cms_group_id": 15,
    "final_gender_code": 4,
    "age_level": 9,
    "pvalue_level": 5,
    "shopping_level": 5,
    "occupation": 4,
    "new_user_class_level": 6,
    "pid": 4,
    "hour": 26,
    "weekday": 9,
}
#: Users and impressions of the dataset (ours: enough for many different batches, and quick to write).
USERS, IMPRESSIONS = 30_000, 200_000
#: Alimama's published click rate, rounded.
CLICK_RATE = 0.05
SCHEMA = Source.schema


def zipf(rng: np.random.Generator, vocabulary: int, *shape: int) -> NDArray[np.int32]:
    """Ids whose frequency falls with their rank (Zipf's law, exponent 1); ranks are assigned to ids at random."""
    rank = np.minimum((vocabulary - FIRST_ID) ** rng.random(shape), vocabulary - FIRST_ID - 1).astype(np.int64)
    return (FIRST_ID + rng.permutation(vocabulary - FIRST_ID)[rank]).astype(np.int32)


class _Ids:
    """The ids of each vocabulary: how many there are, and which of them are used."""

    def __init__(self, scale: float, spread: bool) -> None:
        self.used = {name: max(int(size * scale), 3) for name, size in VOCABULARIES.items()} | SMALL
        self.sizes = VOCABULARIES | SMALL if spread else self.used

    def spread_out(self, name: str, ids: NDArray) -> NDArray[np.uint32]:
        """Ids below `used`, at even distances in the whole vocabulary."""
        distance = (self.sizes[name] - FIRST_ID) // (self.used[name] - FIRST_ID)
        return (FIRST_ID + (ids - FIRST_ID) * distance).astype(np.uint32)


def make_dataset(
    folder: Path,
    history: int = 100,
    scale: float = 1.0,
    spread: bool = False,
    users: int = USERS,
    impressions: int = IMPRESSIONS,
) -> Dataset:
    """Write the dataset; every user has a full history of n_v steps.

    Args:
        folder: the folder of the dataset.
        history: n_v.
        scale: factor by which the large vocabularies are reduced.
        spread: keep the vocabularies large, but use only as many of their ids as the reduced ones have, spread evenly:
            the same batches, with their rows far apart.
        users: number of users.
        impressions: number of impressions of each split.
    """
    rng = np.random.default_rng(0)
    ids = _Ids(scale, spread)
    items = ids.used["item"] - FIRST_ID
    with DatasetWriter(folder) as writer:
        _write_users_and_items(writer, rng, ids, users, items)
        _write_behaviors(writer, rng, ids, users, history)
        clicks = {
            f"{split}_clicks": _write_split(writer, rng, ids, split, users, impressions, history) for split in SPLITS
        }
        counts = {
            "users": users,
            "items": items,
            "behaviors": users * history,
            **dict.fromkeys(SPLITS, impressions),
            **clicks,
            **dict.fromkeys(("users_without_history", "users_without_profile", "items_without_features"), 0),
        }
        vocabularies = SCHEMA.vocabularies()
        writer.finish(
            {
                "name": folder.name,
                "source": "alimama",
                "simulation": {"seed": 0},
                "history": history,
                "vocabulary_sizes": {name: ids.sizes[name] for name in vocabularies},
                "unseen": dict.fromkeys(vocabularies, 0),
                "counts": counts,
                "schema": SCHEMA.to_json(),
            }
        )
    return Dataset(folder)


def _write_users_and_items(writer: DatasetWriter, rng: np.random.Generator, ids: _Ids, users: int, items: int) -> None:
    writer.write("users", "raw", np.arange(users))
    writer.write("items", "raw", np.arange(items))
    for name, size in ids.sizes.items():
        writer.write("vocabularies", name, np.arange(size - FIRST_ID))
        writer.write("unseen", name, np.arange(0))
    for field in SCHEMA.group("attributes"):
        values = FIRST_ID + rng.integers(ids.used[field.name] - FIRST_ID, size=users)
        writer.write("users", field.name, ids.spread_out(field.name, values))
    for field in SCHEMA.group("target"):
        is_item = field.name == "item"
        target: NDArray = np.arange(FIRST_ID, FIRST_ID + items) if is_item else zipf(rng, ids.used[field.name], items)
        writer.write("items", field.name, ids.spread_out(field.name, target))
    writer.write("items", "price", rng.normal(size=items).astype(np.float32))


def _write_behaviors(writer: DatasetWriter, rng: np.random.Generator, ids: _Ids, users: int, history: int) -> None:
    count = users * history
    for field in SCHEMA.group("behavior"):
        writer.write("behaviors", field.name, ids.spread_out(field.name, zipf(rng, ids.used[field.name], count)))
    writer.write("behaviors", "action", (FIRST_ID + rng.integers(len(ACTIONS), size=count)).astype(np.uint8))
    writer.write("behaviors", "offsets", np.arange(users + 1) * history)
    writer.write("behaviors", "time", np.zeros(count, np.int64))


def _write_split(
    writer: DatasetWriter, rng: np.random.Generator, ids: _Ids, split: str, users: int, impressions: int, history: int
) -> int:
    """Write the impressions of a split; returns the number of clicks."""
    user = np.sort(rng.integers(users, size=impressions)).astype(np.int32)
    writer.write(split, "user", user)
    writer.write(split, "time", np.zeros(impressions, np.int64))
    writer.write(split, "item", zipf(rng, ids.used["item"], impressions) - FIRST_ID)
    writer.write(split, "history_end", (user.astype(np.int64) + 1) * history)
    click = (rng.random(impressions) < CLICK_RATE).astype(np.uint8)
    writer.write(split, "click", click)
    for field in SCHEMA.group("context"):
        values = FIRST_ID + rng.integers(ids.sizes[field.name] - FIRST_ID, size=impressions)
        writer.write(split, field.name, values.astype(np.uint8))
    return int(click.sum())
