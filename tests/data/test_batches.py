from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views


@pytest.fixture
def view(tiny: Dataset) -> View:
    return views(tiny, make_config([{"data": "tiny"}]))["train"]


def test_gather_is_the_obvious_loop(tiny: Dataset, view: View) -> None:
    rows = view.rows[::37]
    batch = Batches(tiny, view, history=6, batch_size=8).gather(rows)
    for index, row in enumerate(rows):
        user, item = tiny.column("train", "user")[row], tiny.column("train", "item")[row]
        end = tiny.column("train", "history_end")[row]
        begin = end if view.new[user] else max(tiny.offsets[user], end - 6)
        steps = list(range(begin, end))
        for name, column in (("behaviors", "cate"), ("actions", "action")):
            expected = [0] * (6 - len(steps)) + [int(tiny.column("behaviors", column)[i]) for i in steps]
            actual = batch["behaviors"][index, :, 0] if name == "behaviors" else batch["actions"][index]
            assert actual.tolist() == expected
        attributes = [tiny.column("users", f.name)[user] for f in tiny.schema.group("attributes")]
        assert batch["attributes"][index].tolist() == attributes
        assert batch["target"][index].tolist() == [
            tiny.column("items", f.name)[item] for f in tiny.schema.group("target")
        ]
        assert batch["context"][index].tolist() == [
            tiny.column("train", f.name)[row] for f in tiny.schema.group("context")
        ]
        assert batch["dense"][index].tolist() == [tiny.column("items", "price")[item]]
        assert batch["click"][index] == tiny.column("train", "click")[row]


def test_an_epoch_shows_every_impression_once(tiny: Dataset, view: View) -> None:
    batches = Batches(tiny, view, history=2, batch_size=100)
    epoch = list(batches.shuffled(seed=0, epoch=1))
    assert len(epoch) == len(batches)
    assert [len(b["click"]) for b in epoch[:-1]] == [100] * (len(batches) - 1)
    assert sum(float(b["click"].sum()) for b in epoch) == tiny.counts["train_clicks"]
    assert sum(len(b["click"]) for b in epoch) == tiny.counts["train"]


def test_order_depends_on_seed_and_epoch_and_can_start_anywhere(tiny: Dataset, view: View) -> None:
    batches = Batches(tiny, view, history=2, batch_size=100)

    def items(seed: int, epoch: int, first: int = 0) -> list[list[int]]:
        return [b["target"][:, 0].tolist() for b in batches.shuffled(seed, epoch, first)]

    assert items(0, 1) == items(0, 1)
    assert items(0, 1) != items(0, 2)
    assert items(0, 1) != items(1, 1)
    assert items(0, 1, first=3) == items(0, 1)[3:]


def test_evaluation_is_in_the_datasets_order(tiny: Dataset, view: View) -> None:
    clicks = np.concatenate([b["click"] for b in Batches(tiny, view, 2, 77).in_order()])
    np.testing.assert_array_equal(clicks, tiny.column("train", "click"))


@pytest.mark.parametrize("size", [1, 5, 77, 10_000])
def test_evaluation_keeps_a_users_impressions_together(tiny: Dataset, view: View, size: int) -> None:
    users = [batch["user"].tolist() for batch in Batches(tiny, view, 2, size).in_order()]
    assert [user for batch in users for user in batch] == tiny.column("train", "user")[view.rows].tolist()
    assert all(0 < len(batch) <= size for batch in users)
    for before, after in pairwise(users):
        # Only a user with more impressions than a batch holds is in two batches.
        assert before[-1] != after[0] or set(before) == {after[0]}


def test_prepared_numbers_come_with_their_impressions(tiny: Dataset, view: View) -> None:
    part = view._replace(rows=view.rows[::3])
    batches = Batches(tiny, part, 2, 64)
    assert np.isnan(batches.gather(part.rows[[5, 0]])["prepared"]).all()
    batches.prepared = np.arange(len(part.rows), dtype=np.float32)
    assert batches.gather(part.rows[[5, 0]])["prepared"].tolist() == [5, 0]


def test_a_batch_is_divided_among_the_workers(tiny: Dataset, view: View) -> None:
    whole = Batches(tiny, view, 20, 100)
    parts = [Batches(tiny, view, 20, 100, (index, 3)) for index in range(3)]
    sizes = set()
    for batch, *shares in zip(whole.shuffled(0, 1), *(part.shuffled(0, 1) for part in parts), strict=True):
        sizes.add(tuple(len(share["click"]) for share in shares))
        for name, array in batch.items():
            np.testing.assert_array_equal(array, np.concatenate([share[name] for share in shares]))  # type: ignore[literal-required]
    last = tiny.counts["train"] % 100
    assert sizes == {(33, 33, 34), (last // 3, 2 * last // 3 - last // 3, last - 2 * last // 3)}
    users = np.concatenate([batch["user"] for part in parts for batch in part.in_order()])
    np.testing.assert_array_equal(users, tiny.column("train", "user")[view.rows])
