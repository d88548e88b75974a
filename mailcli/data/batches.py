"""Dataset -> batches of NumPy arrays, gathered from memory-mapped columns and prepared ahead by threads.

The order of impressions is a pure function of (seed, epoch): step k of an epoch can be made without those before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypedDict, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.data.schema import UNKNOWN
from mailcli.utils.prefetch import prefetch

#: Batches prepared ahead (ours: enough to smooth over a slow read).
PREFETCHED = 4


Part = TypeVar("Part", NDArray[np.int64], list[tuple[int, int]])


class Batch(TypedDict):
    """One batch of B impressions; ids are those of each field's own vocabulary."""

    attributes: NDArray[np.int32]
    """[B, columns of the attributes]: n_a, and more where one is multi-valued, its values side by side"""
    behaviors: NDArray[np.int32]
    """[B, n_v, behavior fields]; the most recent last, padding in front (id 0)"""
    actions: NDArray[np.int32]
    """[B, n_v]"""
    context: NDArray[np.int32]
    """[B, n_c]"""
    target: NDArray[np.int32]
    """[B, columns of the target]: the values of multi-valued fields lie side by side"""
    dense: NDArray[np.float32]
    """[B, n_dense]"""
    click: NDArray[np.float32]
    """[B]"""
    conversion: NDArray[np.float32]
    """[B]; zeros where the data has no such label"""
    user: NDArray[np.int32]
    """[B], the user's row in the dataset; it has no embedding"""


class Batches:
    """The impressions of a view, in batches."""

    def __init__(
        self, dataset: Dataset, view: View, history: int, batch_size: int, worker: tuple[int, int] = (0, 1)
    ) -> None:
        """Args:
        dataset, view: which impressions, and who is new among their users.
        history: n_v of the batches; histories are cut to the most recent.
        batch_size: B; the last batch of an epoch may be shorter.
        worker: its place among the workers, and how many there are. Each makes its part: of a shuffled batch its
            share of the rows, in order its share of the batches.
        """
        self.dataset = dataset
        self.view = view
        self.history = history
        self.batch_size = batch_size
        self.worker = worker

    def __len__(self) -> int:
        return -(-len(self.view.rows) // self.batch_size)

    def shuffled(self, seed: int, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in its own order, from a step on."""
        rows, size = self.view.rows, self.batch_size
        order = np.random.default_rng([seed, epoch]).permutation(len(rows))
        starts = range(first_step * size, len(rows), size)
        return prefetch(
            lambda start: self.gather(rows[_part(order[start : start + size], self.worker)]), starts, PREFETCHED
        )

    def in_order(self) -> Iterator[Batch]:
        """The batches in the dataset's order, by users: B impressions or less, and no user in two of them but for B."""
        rows = self.view.rows
        user = self.dataset.column(self.view.split, "user")[rows]
        ends = np.append(np.flatnonzero(user[1:] != user[:-1]) + 1, len(rows))
        cuts = [0]
        while cuts[-1] < len(rows):
            most = cuts[-1] + self.batch_size
            last = ends[np.searchsorted(ends, most, side="right") - 1]
            cuts.append(int(last) if cuts[-1] < last <= most else min(most, len(rows)))
        return prefetch(
            lambda ends: self.gather(rows[slice(*ends)]), _part(list(pairwise(cuts)), self.worker), PREFETCHED
        )

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of some impressions of the split."""
        dataset, split = self.dataset, self.view.split
        return self.assemble(
            dataset.column(split, "user")[rows],
            dataset.column(split, "item")[rows],
            dataset.column(split, "history_end")[rows],
            self.context(rows),
            self._label("click", rows),
            self._label("conversion", rows),
        )

    def assemble(
        self,
        user: NDArray,
        item: NDArray,
        history_end: NDArray,
        context: NDArray[np.int32],
        click: NDArray[np.float32],
        conversion: NDArray[np.float32],
    ) -> Batch:
        """The batch of any B impressions, of the split or not.

        Args:
            user, item: [B], rows of the dataset's tables.
            history_end: [B], the behavior after the last one that each impression sees.
            context: [B, n_c], ids.
            click, conversion: [B], labels.
        """
        dataset, schema = self.dataset, self.dataset.schema
        places, mask = self._history(user, history_end)
        return Batch(
            attributes=self.attributes(user),
            behaviors=self._steps([field.name for field in schema.group("behavior")], places, mask),
            actions=self._steps(["action"], places, mask)[:, :, 0],
            context=context,
            target=target_ids(dataset, item),
            dense=_stack([dataset.column("items", name)[item] for name in schema.dense], len(item), np.float32),
            click=click,
            conversion=conversion,
            user=user.astype(np.int32, copy=False),
        )

    def context(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """[B, n_c], the ids of the context of impressions of the split."""
        dataset, split = self.dataset, self.view.split
        return _stack([dataset.column(split, field.name)[rows] for field in dataset.schema.group("context")], len(rows))

    def _steps(self, names: list[str], places: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
        """[B, n_v, columns] of the behaviors' columns; PADDING, which is 0, where the mask is false."""
        found = np.empty((*places.shape, len(names)), np.int32)
        for place, name in enumerate(names):
            np.multiply(self.dataset.column("behaviors", name)[places], mask, out=found[:, :, place], casting="unsafe")
        return found

    def _label(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if name not in self.dataset.schema.labels:
            return np.zeros(len(rows), np.float32)
        return self.dataset.column(self.view.split, name)[rows].astype(np.float32)

    def attributes(self, user: NDArray) -> NDArray[np.int32]:
        """[B, columns of the attributes], the ids of users' attributes; the id of who is anonymous is UNKNOWN."""
        schema = self.dataset.schema
        hidden = self.view.anonymous[user]
        columns = []
        for field in schema.group("attributes"):
            ids = self.dataset.column("users", field.name)[user]
            ids = np.where(hidden, UNKNOWN, ids) if field.vocabulary == schema.user else ids
            columns += [ids] if field.values == 1 else list(ids.T)
        return _stack(columns)

    def _history(self, user: NDArray, end: NDArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """[B, n_v] places in the behavior columns, and which of them are real; new users have none."""
        begin = np.where(self.view.new[user], end, self.dataset.offsets[user])
        places = end[:, None] + np.arange(-self.history, 0)
        mask = places >= begin[:, None]
        return np.where(mask, places, 0), mask


def _part(whole: Part, worker: tuple[int, int]) -> Part:
    """A worker's part of a sequence; the parts differ by one at most."""
    index, workers = worker
    return whole[len(whole) * index // workers : len(whole) * (index + 1) // workers]


def _stack(columns: list[NDArray], rows: int = 0, dtype: DTypeLike = np.int32) -> NDArray:
    return np.stack(columns, axis=-1).astype(dtype, copy=False) if columns else np.empty((rows, 0), dtype)


def target_ids(dataset: Dataset, item: NDArray) -> NDArray[np.int32]:
    """[B, columns of the target], the ids of items; the values of multi-valued fields lie side by side."""
    fields = dataset.schema.group("target")
    parts = [dataset.column("items", field.name)[item].reshape(len(item), field.values) for field in fields]
    return np.concatenate(parts, axis=1).astype(np.int32, copy=False)
