"""How an arm of a simulated A/B test ranks its candidates: by a finished run, the true probabilities, or chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.batches import PREFETCHED, Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.data.last_used import open_chosen
from mailcli.data.protocol import View, views
from mailcli.errors import MailError, did_you_mean
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.runs.origin import check_unchanged
from mailcli.simulation.ground_truth import Truth
from mailcli.utils.prefetch import prefetch

#: Policies without a run: rank by the true click probability, or by random numbers.
ORACLE, RANDOM = "oracle", "random"
BUILT_IN = (ORACLE, RANDOM)


class Page(NamedTuple):
    """What is ranked: the same candidates for each of some users."""

    users: NDArray[np.int64]
    """[n], rows of the dataset."""
    contexts: NDArray[np.int64]
    """[n], test impressions: the context of each user's page is that of the impression."""
    items: NDArray[np.int64]
    """[m], the candidates, rows of the dataset."""


Policy = Callable[[Page, np.random.Generator], NDArray]
"""[n, m], scores; the items with the largest are shown."""


@dataclass(frozen=True)
class Contender:
    """One arm's policy: a run, or one of BUILT_IN."""

    name: str
    run: RunFolder | None = None


def parse_contender(name: str) -> Contender:
    """The contender of a run's folder, `oracle` or `random` (MailError for anything else)."""
    if name in BUILT_IN:
        return Contender(name)
    if not name:
        raise MailError(f"a contender is empty. Expected a run's folder, '{ORACLE}' or '{RANDOM}'.")
    if "/" not in name and not Path(name).exists():
        raise MailError(
            f"{name}: is neither a run's folder nor '{ORACLE}' or '{RANDOM}'.{did_you_mean(name, BUILT_IN)} "
            "Expected a folder made by `mail train`."
        )
    return Contender(name, open_run(Path(name)))


def common_dataset(contenders: list[Contender], data_dir: Path, data: str | None) -> Dataset:
    """The dataset of the runs, unchanged since; without runs, the named dataset, or the only one or the one used last.

    Raises:
        MailError: the runs are on several datasets or not on the named one, or their dataset is missing or changed.
    """
    runs = [contender.run for contender in contenders if contender.run]
    for run in runs[1:]:
        if run.config.data != runs[0].config.data:
            raise MailError(
                f"{runs[0].folder} is a run on '{runs[0].config.data}', {run.folder} on '{run.config.data}'. "
                "Expected two runs on one dataset."
            )
    if runs and data is not None and data != runs[0].config.data:
        raise MailError(f"--data {data}: {runs[0].folder} is a run on '{runs[0].config.data}'. Leave --data out.")
    dataset = open_chosen(data_dir, runs[0].config.data if runs else data)
    for run in runs:
        check_unchanged(run, dataset)
    return dataset


def is_new(dataset: Dataset, config: RunConfig, users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n], the flag of Eq. (9) in a config's draw: users whose behaviors are hidden, and those without any."""
    return views(dataset, config)["test"].new[users] | (dataset.offsets[users + 1] == dataset.offsets[users])


def make_policy(contender: Contender, dataset: Dataset, truth: Truth) -> Policy:
    """The policy by which a contender ranks."""
    if contender.run is not None:
        return _policy_of_run(contender.run, dataset)
    if contender.name == RANDOM:
        return lambda page, rng: rng.random((len(page.users), len(page.items)))
    return lambda page, _: truth.click(
        np.repeat(page.users, len(page.items)), np.tile(page.items, len(page.users))
    ).reshape(len(page.users), -1)


def _policy_of_run(run: RunFolder, dataset: Dataset) -> Policy:
    """Ranks by the pCTR of the run's best checkpoint; loads TensorFlow."""
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, dataset)

    def scores(page: Page, rng: np.random.Generator) -> NDArray:
        del rng
        pages = _Pages(predictor.dataset, predictor.test, run.config, page)
        values = predictor.scorer(pages, f"ranking by {run.config.cell}")
        predictor.dataset.check_files()
        # pCTR is the first head of a ranker with two.
        return values.reshape(len(page.users), len(page.items), -1)[:, :, 0]

    return scores


class _Pages(Batches):
    """Every user with every candidate, in batches; a history ends with the user's last behavior."""

    def __init__(self, dataset: Dataset, view: View, config: RunConfig, page: Page) -> None:
        rows = np.arange(len(page.users) * len(page.items))
        super().__init__(dataset, view._replace(rows=rows), config.history, config.batch_size)
        self._page = page

    def in_order(self) -> Iterator[Batch]:
        """User by user, the order in which `Scorer` reads them."""
        starts = range(0, len(self.view.rows), self.batch_size)
        return prefetch(lambda start: self.gather(self.view.rows[start : start + self.batch_size]), starts, PREFETCHED)

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of some pairs of user and candidate."""
        position, item = np.divmod(rows, len(self._page.items))
        user = self._page.users[position]
        context, labels = self.context(self._page.contexts[position]), np.zeros(len(rows), np.float32)
        return self.assemble(user, self._page.items[item], self.dataset.offsets[user + 1], context, labels, labels)
