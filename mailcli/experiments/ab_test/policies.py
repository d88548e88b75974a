"""What ranks the candidates of an arm of a simulated A/B test: a finished run, the truth, or chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.batches import AHEAD, Batch, Batches
from mailcli.data.dataset import Store, find
from mailcli.data.protocol import View, views
from mailcli.errors import MailError, nearest
from mailcli.simulation.ground_truth import Truth
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import check_unchanged, open_run, read_as
from mailcli.utils.prefetch import ahead

#: Names that stand for no run: by the true click probability, and by random numbers.
ORACLE, RANDOM = "oracle", "random"
BUILT_IN = (ORACLE, RANDOM)


class Page(NamedTuple):
    """What is to be ranked."""

    users: NDArray[np.int64]
    """[n], rows of the store."""
    contexts: NDArray[np.int64]
    """[n], the impression of the test split whose context each user's page has."""
    items: NDArray[np.int64]
    """[m], the candidates of every page, rows of the store."""


Policy = Callable[[Page, np.random.Generator], NDArray]
"""[n, m], scores; the largest are shown."""


@dataclass(frozen=True)
class Contender:
    """One arm's policy: a run, or one of BUILT_IN."""

    name: str
    run: Run | None = None


def contender(name: str) -> Contender:
    """A run's folder, `oracle` or `random` (MailError for what is none of these)."""
    if name in BUILT_IN:
        return Contender(name)
    if "/" not in name and not Path(name).exists():
        raise MailError(
            f"{name}: is neither a run's folder nor '{ORACLE}' or '{RANDOM}'.{nearest(name, BUILT_IN)} "
            "Expected a folder made by `mail train`."
        )
    return Contender(name, open_run(Path(name)))


def common_store(contenders: list[Contender], data_dir: Path, data: str | None) -> Store:
    """The dataset of the runs, unchanged since; the named one, or the only one, where there is no run.

    Raises:
        MailError: the runs are of several datasets or not of the named one, or theirs is missing or has changed.
    """
    runs = [each.run for each in contenders if each.run]
    for other in runs[1:]:
        if other.config.data != runs[0].config.data:
            raise MailError(
                f"{runs[0].folder} is a run on '{runs[0].config.data}', {other.folder} on '{other.config.data}'. "
                "Expected two runs on one dataset."
            )
    if runs and data is not None and data != runs[0].config.data:
        raise MailError(f"--data {data}: {runs[0].folder} is a run on '{runs[0].config.data}'. Leave --data out.")
    store = find(data_dir, runs[0].config.data if runs else data)
    for run in runs:
        check_unchanged(run, store)
    return store


def is_new(store: Store, config: RunConfig, users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n], MAIL's flag (9) under a config's draw: users whose behaviours are hidden, and those who have none."""
    return views(store, config)["test"].new[users] | (store.offsets[users + 1] == store.offsets[users])


def policy(chosen: Contender, store: Store, truth: Truth) -> Policy:
    """What ranks for a contender."""
    if chosen.run is not None:
        return _of_run(chosen.run, store)
    if chosen.name == RANDOM:
        return lambda page, rng: rng.random((len(page.users), len(page.items)))
    return lambda page, _: truth.click(
        np.repeat(page.users, len(page.items)), np.tile(page.items, len(page.users))
    ).reshape(len(page.users), -1)


def _of_run(run: Run, store: Store) -> Policy:
    """By pCTR of the run's best checkpoint; TensorFlow is loaded."""
    from mailcli.models.factory import make_model
    from mailcli.training.evaluate import Scorer

    store = read_as(run, store)
    model = make_model(store, run.config)
    run.restore(model)
    scorer, view = Scorer(model, run.config.history), views(store, run.config)["test"]

    def scores(page: Page, rng: np.random.Generator) -> NDArray:
        del rng
        found = scorer(_Pages(store, view, run.config, page), f"ranking by {run.config.cell}")
        # Of a ranker with two heads, the first.
        return found.reshape(len(page.users), len(page.items), -1)[:, :, 0]

    return scores


class _Pages(Batches):
    """Every user with every candidate, in batches; histories end with a user's last behaviour."""

    def __init__(self, store: Store, view: View, config: RunConfig, page: Page) -> None:
        rows = np.arange(len(page.users) * len(page.items))
        super().__init__(store, view._replace(rows=rows), config.history, config.batch_size)
        self._page = page

    def in_order(self) -> Iterator[Batch]:
        """By users, as `Scorer` reads them."""
        starts = range(0, len(self.view.rows), self.batch_size)
        return ahead(lambda start: self.gather(self.view.rows[start : start + self.batch_size]), starts, AHEAD)

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of some pairs."""
        place, item = np.divmod(rows, len(self._page.items))
        user = self._page.users[place]
        context, labels = self.context(self._page.contexts[place]), np.zeros(len(rows), np.float32)
        return self.assemble(user, self._page.items[item], self.store.offsets[user + 1], context, labels, labels)
