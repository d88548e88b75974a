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


def zipf(rng: np.random.Generator, vocabulary: int, *shape: int) -> NDArray[np.int32]:
    """Ids whose frequency falls with their rank (Zipf's law, exponent 1); ranks are assigned to ids at random."""
    rank = np.minimum((vocabulary - FIRST_ID) ** rng.random(shape), vocabulary - FIRST_ID - 1).astype(np.int64)
    return (FIRST_ID + rng.permutation(vocabulary - FIRST_ID)[rank]).astype(np.int32)


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
    reduced = {name: max(int(size * scale), 3) for name, size in VOCABULARIES.items()} | SMALL
    sizes = VOCABULARIES | SMALL if spread else reduced
    schema = Source.schema
    items = reduced["item"] - FIRST_ID

    def spread_out(name: str, ids: NDArray) -> NDArray[np.uint32]:
        distance = (sizes[name] - FIRST_ID) // (reduced[name] - FIRST_ID)
        return (FIRST_ID + (ids - FIRST_ID) * distance).astype(np.uint32)

    clicks: dict[str, int] = {}
    with DatasetWriter(folder) as writer:
        writer.write("users", "raw", np.arange(users))
        writer.write("items", "raw", np.arange(items))
        for name, size in sizes.items():
            writer.write("vocabularies", name, np.arange(size - FIRST_ID))
            writer.write("unseen", name, np.arange(0))
        for field in schema.group("attributes"):
            ids = FIRST_ID + rng.integers(reduced[field.name] - FIRST_ID, size=users)
            writer.write("users", field.name, spread_out(field.name, ids))
        for field in schema.group("target"):
            ids = (
                np.arange(FIRST_ID, FIRST_ID + items) if field.name == "item" else zipf(rng, reduced[field.name], items)
            )
            writer.write("items", field.name, spread_out(field.name, ids))
        writer.write("items", "price", rng.normal(size=items).astype(np.float32))
        for field in schema.group("behavior"):
            writer.write(
                "behaviors", field.name, spread_out(field.name, zipf(rng, reduced[field.name], users * history))
            )
        actions = FIRST_ID + rng.integers(len(ACTIONS), size=users * history)
        writer.write("behaviors", "action", actions.astype(np.uint8))
        writer.write("behaviors", "offsets", np.arange(users + 1) * history)
        writer.write("behaviors", "time", np.zeros(users * history, np.int64))
        for split in SPLITS:
            user = np.sort(rng.integers(users, size=impressions)).astype(np.int32)
            writer.write(split, "user", user)
            writer.write(split, "time", np.zeros(impressions, np.int64))
            writer.write(split, "item", zipf(rng, reduced["item"], impressions) - FIRST_ID)
            writer.write(split, "history_end", (user.astype(np.int64) + 1) * history)
            click = (rng.random(impressions) < 0.05).astype(np.uint8)
            clicks[split] = int(click.sum())
            writer.write(split, "click", click)
            for field in schema.group("context"):
                ids = FIRST_ID + rng.integers(sizes[field.name] - FIRST_ID, size=impressions)
                writer.write(split, field.name, ids.astype(np.uint8))
        manifest = {
            "name": folder.name,
            "source": "alimama",
            "simulation": {"seed": 0},
            "history": history,
            "vocabulary_sizes": {name: sizes[name] for name in schema.vocabularies()},
            "unseen": dict.fromkeys(schema.vocabularies(), 0),
            "counts": {
                "users": users,
                "items": items,
                "behaviors": users * history,
                **dict.fromkeys(SPLITS, impressions),
                **{f"{split}_clicks": clicks[split] for split in SPLITS},
                **dict.fromkeys(("users_without_history", "users_without_profile", "items_without_features"), 0),
            },
            "schema": schema.to_json(),
        }
        writer.finish(manifest)
    return Dataset(folder)
