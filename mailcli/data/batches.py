"""Dataset -> batches of NumPy arrays, gathered from memory-mapped columns and prefetched in a thread.

The order of impressions is a pure function of seed and epoch: any step can be computed without the steps before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypedDict, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import Mask, View
from mailcli.data.schema import UNKNOWN
from mailcli.utils.prefetch import prefetch

#: Batches prepared in advance (ours: enough to smooth over a slow read).
PREFETCHED = 4


Sliceable = TypeVar("Sliceable", NDArray[np.int64], list[tuple[int, int]])


class Batch(TypedDict):
    """One batch of B impressions; ids are those of each field's own vocabulary."""

    attributes: NDArray[np.int32]
    """[B, columns of the attributes]: n_a, or more if an attribute is multi-valued (one column per value)"""
    behaviors: NDArray[np.int32]
    """[B, n_v, behavior fields]; the most recent last, padding in front (id 0)"""
    actions: NDArray[np.int32]
    """[B, n_v]"""
    context: NDArray[np.int32]
    """[B, n_c]"""
    target: NDArray[np.int32]
    """[B, columns of the target]: a multi-valued field has one column per value"""
    dense: NDArray[np.float32]
    """[B, n_dense]"""
    click: NDArray[np.float32]
    """[B]"""
    conversion: NDArray[np.float32]
    """[B]; zeros if the data has no such label"""
    user: NDArray[np.int32]
    """[B], the user's row in the dataset; not an embedded id"""
    prepared: NDArray[np.float32]
    """[B], a number that does not depend on the impression's own label (`Batches.prepared`); NaN for none"""


class Batches:
    """The impressions of a split, in batches.

    Args:
        dataset, view: the impressions, and which of their users are new.
        history: n_v; histories are cut to the most recent behaviors.
        batch_size: B; the last batch of an epoch may be smaller.
        worker: the worker's index and the number of workers. Each worker makes its share: of the rows of each
            shuffled batch, or of the batches in order.
    """

    def __init__(
        self, dataset: Dataset, view: View, history: int, batch_size: int, worker: tuple[int, int] = (0, 1)
    ) -> None:
        self.dataset = dataset
        self.view = view
        self.history = history
        self.batch_size = batch_size
        self.worker = worker
        self.prepared: NDArray[np.float32] | None = None
        """[impressions of the view], the number that a cold-start method has given each; None for none."""

    @classmethod
    def of_run(cls, dataset: Dataset, view: View, config: RunConfig, worker: tuple[int, int] = (0, 1)) -> Batches:
        """Batches of a run's size, with histories of its length."""
        return cls(dataset, view, config.history, config.batch_size, worker)

    def __len__(self) -> int:
        return -(-len(self.view.rows) // self.batch_size)

    def shuffled(self, seed: int, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in its own random order, starting at a step."""
        rows, size = self.view.rows, self.batch_size
        order = np.random.default_rng([seed, epoch]).permutation(len(rows))
        starts = range(first_step * size, len(rows), size)
        return prefetch(
            lambda start: self.gather(rows[_worker_share(order[start : start + size], self.worker)]), starts, PREFETCHED
        )

    def in_order(self) -> Iterator[Batch]:
        """The batches in the dataset's order, at most B impressions each; only users with more than B are split.

        Raises:
            MailError: at the end, if the dataset was changed in the meantime.
        """
        rows, dataset = self.view.rows, self.dataset
        user = dataset.column(self.view.split, "user")[rows]
        ends = np.append(np.flatnonzero(user[1:] != user[:-1]) + 1, len(rows))
        cuts = [0]
        while cuts[-1] < len(rows):
            most = cuts[-1] + self.batch_size
            last = ends[np.searchsorted(ends, most, side="right") - 1]
            cuts.append(int(last) if cuts[-1] < last <= most else min(most, len(rows)))
        share = _worker_share(list(pairwise(cuts)), self.worker)
        yield from prefetch(lambda limits: self.gather(rows[slice(*limits)]), share, PREFETCHED)
        dataset.check_files()

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of the given impressions of the split."""
        dataset, split, view = self.dataset, self.view.split, self.view
        user = dataset.column(split, "user")[rows]
        batch = self.assemble(
            user,
            dataset.column(split, "item")[rows],
            dataset.column(split, "history_end")[rows],
            self.context(rows),
            self._label("click", rows),
            self._label("conversion", rows),
            view.is_new(user, rows),
            view.is_anonymous(user, rows),
        )
        if self.prepared is not None:
            batch["prepared"] = self.prepared[np.searchsorted(view.rows, rows)]
        return batch

    def assemble(
        self,
        user: NDArray,
        item: NDArray,
        history_end: NDArray,
        context: NDArray[np.int32],
        click: NDArray[np.float32],
        conversion: NDArray[np.float32],
        new: Mask | None = None,
        anonymous: Mask | None = None,
    ) -> Batch:
        """The batch of any B impressions, whether in the split or not.

        Args:
            user, item: [B], rows of the dataset's tables.
            history_end: [B], the index after the last behavior that each impression sees.
            context: [B, n_c], ids.
            click, conversion: [B], labels.
            new, anonymous: [B], whether an impression's behaviors and user id are hidden; None for those of the split's
                new and anonymous users.
        """
        new = self.view.new[user] if new is None else new
        dataset, schema = self.dataset, self.dataset.schema
        places, mask = self._history(user, history_end, new)
        return Batch(
            attributes=self.attributes(user, anonymous),
            behaviors=self._steps([field.name for field in schema.group("behavior")], places, mask),
            actions=self._steps(["action"], places, mask)[:, :, 0],
            context=context,
            target=target_ids(dataset, item),
            dense=_stack([dataset.column("items", name)[item] for name in schema.dense], len(item), np.float32),
            click=click,
            conversion=conversion,
            user=user.astype(np.int32, copy=False),
            prepared=np.full(len(user), np.nan, np.float32),
        )

    def context(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """[B, n_c], the context ids of impressions of the split."""
        dataset, split = self.dataset, self.view.split
        return _stack([dataset.column(split, field.name)[rows] for field in dataset.schema.group("context")], len(rows))

    def _steps(self, names: list[str], places: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
        """[B, n_v, columns], ids of the behaviors' fields; PADDING (0) where the mask is false."""
        ids = np.empty((*places.shape, len(names)), np.int32)
        for index, name in enumerate(names):
            np.multiply(self.dataset.column("behaviors", name)[places], mask, out=ids[:, :, index], casting="unsafe")
        return ids

    def _label(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if name not in self.dataset.schema.labels:
            return np.zeros(len(rows), np.float32)
        return self.dataset.column(self.view.split, name)[rows].astype(np.float32)

    def attributes(self, user: NDArray, anonymous: Mask | None = None) -> NDArray[np.int32]:
        """[B, columns of the attributes], ids; the id is UNKNOWN where `anonymous` is true, as in `assemble`."""
        anonymous = self.view.anonymous[user] if anonymous is None else anonymous
        schema = self.dataset.schema
        columns = []
        for field in schema.group("attributes"):
            ids = self.dataset.column("users", field.name)[user]
            ids = np.where(anonymous, UNKNOWN, ids) if field.vocabulary == schema.user else ids
            columns += [ids] if field.values == 1 else list(ids.T)
        return _stack(columns)

    def _history(self, user: NDArray, end: NDArray, new: Mask) -> tuple[NDArray[np.int64], Mask]:
        """[B, n_v] rows of the behavior columns, and which of them are real: none where `new` is true."""
        begin = np.where(new, end, self.dataset.offsets[user])
        places = end[:, None] + np.arange(-self.history, 0)
        mask = places >= begin[:, None]
        return np.where(mask, places, 0), mask


def _worker_share(sequence: Sliceable, worker: tuple[int, int]) -> Sliceable:
    """A worker's share of a sequence; the shares' lengths differ by one at most."""
    index, workers = worker
    return sequence[len(sequence) * index // workers : len(sequence) * (index + 1) // workers]


def _stack(columns: list[NDArray], rows: int = 0, dtype: DTypeLike = np.int32) -> NDArray:
    return np.stack(columns, axis=-1).astype(dtype, copy=False) if columns else np.empty((rows, 0), dtype)


def target_ids(dataset: Dataset, item: NDArray) -> NDArray[np.int32]:
    """[B, columns of the target], the ids of items; a multi-valued field has one column per value."""
    fields = dataset.schema.group("target")
    columns = [dataset.column("items", field.name)[item].reshape(len(item), field.values) for field in fields]
    return np.concatenate(columns, axis=1).astype(np.int32, copy=False)
