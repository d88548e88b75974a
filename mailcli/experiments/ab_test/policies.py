"""What ranks the candidates of an arm of a simulated A/B test: a finished run, the truth, or chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.batches import PREFETCHED, Batch, Batches
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.protocol import View, views
from mailcli.errors import MailError, did_you_mean
from mailcli.simulation.ground_truth import Truth
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import check_unchanged, open_run
from mailcli.utils.prefetch import prefetch

#: Names that stand for no run: by the true click probability, and by random numbers.
ORACLE, RANDOM = "oracle", "random"
BUILT_IN = (ORACLE, RANDOM)


class Page(NamedTuple):
    """What is to be ranked."""

    users: NDArray[np.int64]
    """[n], rows of the dataset."""
    contexts: NDArray[np.int64]
    """[n], the impression of the test split whose context each user's page has."""
    items: NDArray[np.int64]
    """[m], the candidates of every page, rows of the dataset."""


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
            f"{name}: is neither a run's folder nor '{ORACLE}' or '{RANDOM}'.{did_you_mean(name, BUILT_IN)} "
            "Expected a folder made by `mail train`."
        )
    return Contender(name, open_run(Path(name)))


def common_dataset(contenders: list[Contender], data_dir: Path, data: str | None) -> Dataset:
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
    dataset = open_dataset(data_dir, runs[0].config.data if runs else data)
    for run in runs:
        check_unchanged(run, dataset)
    return dataset


def is_new(dataset: Dataset, config: RunConfig, users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n], MAIL's flag (9) under a config's draw: users whose behaviors are hidden, and those who have none."""
    return views(dataset, config)["test"].new[users] | (dataset.offsets[users + 1] == dataset.offsets[users])


def policy(chosen: Contender, dataset: Dataset, truth: Truth) -> Policy:
    """What ranks for a contender."""
    if chosen.run is not None:
        return _of_run(chosen.run, dataset)
    if chosen.name == RANDOM:
        return lambda page, rng: rng.random((len(page.users), len(page.items)))
    return lambda page, _: truth.click(
        np.repeat(page.users, len(page.items)), np.tile(page.items, len(page.users))
    ).reshape(len(page.users), -1)


def _of_run(run: Run, dataset: Dataset) -> Policy:
    """By pCTR of the run's best checkpoint; TensorFlow is loaded."""
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, dataset)

    def scores(page: Page, rng: np.random.Generator) -> NDArray:
        del rng
        pages = _Pages(predictor.dataset, predictor.test, run.config, page)
        found = predictor.score(pages, f"ranking by {run.config.cell}")
        # Of a ranker with two heads, the first.
        return found.reshape(len(page.users), len(page.items), -1)[:, :, 0]

    return scores


class _Pages(Batches):
    """Every user with every candidate, in batches; histories end with a user's last behavior."""

    def __init__(self, dataset: Dataset, view: View, config: RunConfig, page: Page) -> None:
        rows = np.arange(len(page.users) * len(page.items))
        super().__init__(dataset, view._replace(rows=rows), config.history, config.batch_size)
        self._page = page

    def in_order(self) -> Iterator[Batch]:
        """By users, as `Scorer` reads them."""
        starts = range(0, len(self.view.rows), self.batch_size)
        return prefetch(lambda start: self.gather(self.view.rows[start : start + self.batch_size]), starts, PREFETCHED)

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of some pairs."""
        place, item = np.divmod(rows, len(self._page.items))
        user = self._page.users[place]
        context, labels = self.context(self._page.contexts[place]), np.zeros(len(rows), np.float32)
        return self.assemble(user, self._page.items[item], self.dataset.offsets[user + 1], context, labels, labels)
