"""New users with their last N behaviors given back: where does "new" end?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli import plugins
from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.errors import MailError
from mailcli.metrics.auc import auc, gauc
from mailcli.runs.folder import RunFolder
from mailcli.runs.origin import check_unchanged
from mailcli.training.hidden_behavior import have_hidden_behavior
from mailcli.training.trivial_run import score_trivial_row
from mailcli.utils.tensorflow_startup import load_tensorflow


class WarmUp(NamedTuple):
    """How well a run ranks for new users of whom it knows some behaviors."""

    metrics: dict[int, dict[str, float]]
    """Number of known behaviors -> AUC and GAUC, on the same impressions for every number."""
    reached: dict[int, float]
    """Number of known behaviors -> share of these impressions whose user has so many."""


class _Scored(NamedTuple):
    """Scores of the measured impressions."""

    dataset: Dataset
    rows: NDArray[np.int64]
    """The impressions, of the test split."""
    scores: dict[int, NDArray[np.float32]]
    """Number of known behaviors -> [rows], pCTR."""


def check_known(known: Sequence[int], runs: Sequence[RunFolder]) -> None:
    """Refuse numbers of behaviors that a run's history does not hold (MailError)."""
    for run in runs:
        if max(known) > run.config.history:
            raise MailError(
                f"--known {max(known)}: {run.folder} sees at most the last {run.config.history} behaviors (its setting "
                f"`history`). Give numbers up to {run.config.history}."
            )


def measure_warm_up(run: RunFolder, data: Path | Dataset, known: Sequence[int]) -> WarmUp:
    """AUC and GAUC of the drawn new users of the test split, by how many of their last behaviors the model sees.

    A user with fewer behaviors shows all of them. Users without behavior in the raw data are excluded. A trivial row
    reads no behavior of new users, so it has the same metrics for every number.

    Args:
        run: a finished run.
        data: its dataset, or the folder of the datasets.
        known: numbers of behaviors.

    Raises:
        MailError: the run was trained on another version of the dataset, or these impressions all have one label.
    """
    scored = _score_trivial_row if plugins.is_trivial(run.config.ranker) else _score
    dataset, rows, scores = scored(run, data, known)
    clicks, user = (dataset.column("test", name)[rows] for name in ("click", "user"))
    metrics = {n: {"AUC": auc(clicks, s), "GAUC": gauc(user, clicks, s).value} for n, s in scores.items()}
    earlier = dataset.earlier_behaviors("test")[rows]
    return WarmUp(metrics, {number: float(np.mean(earlier >= number)) for number in known})


def _score(run: RunFolder, data: Path | Dataset, known: Sequence[int]) -> _Scored:
    """By the run's best checkpoint."""
    load_tensorflow()
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, data)
    dataset, config, view = predictor.dataset, run.config, predictor.test
    # Only their behaviors are given back; whatever else the protocol hides stays hidden.
    revealed = predictor.test_with_all_histories._replace(rows=view.rows[have_hidden_behavior(run, dataset, view)])
    scores = {}
    for number in known:
        batches = _LastBehaviors(number, dataset, revealed, config.history, config.batch_size)
        columns = predictor.scorer(batches, f"{config.cell}, seed {config.seed}: {number} behaviors known")
        scores[number] = columns if columns.ndim == 1 else columns[:, 0]
    return _Scored(dataset, revealed.rows, scores)


def _score_trivial_row(run: RunFolder, data: Path | Dataset, known: Sequence[int]) -> _Scored:
    """By a trivial row that is fitted again."""
    dataset = data if isinstance(data, Dataset) else open_dataset(data, run.config.data)
    check_unchanged(run, dataset)
    view, scores = score_trivial_row(run.config, dataset)["test"]
    chosen = have_hidden_behavior(run, dataset, view)
    return _Scored(dataset, view.rows[chosen], dict.fromkeys(known, scores[chosen]))


class _LastBehaviors(Batches):
    """Batches whose histories are cut to the last few behaviors; the rest is padding.

    Args:
        known: how many behaviors.
        args: those of Batches.
    """

    def __init__(self, known: int, *args: Any) -> None:
        super().__init__(*args)
        self.known = known

    def in_order(self) -> Iterator[Batch]:
        for batch in super().in_order():
            cut = self.history - self.known
            batch["behaviors"][:, :cut] = 0
            batch["actions"][:, :cut] = 0
            yield batch
