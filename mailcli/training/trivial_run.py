"""The run of a trivial row: fitted, evaluated, and kept in a run folder like that of any other cell."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.errors import Interrupted
from mailcli.runs.environment import environment
from mailcli.runs.folder import RunFolder
from mailcli.runs.result import result_head
from mailcli.training import trackers
from mailcli.training.dataset_checks import checked_views
from mailcli.training.evaluate import measure
from mailcli.trivial._base import TrivialModel

#: A trivial row is fitted by one process, on the processor.
_DEVICES = {"workers": 1, "replicas": 1, "gpus": 0}

SplitScores = dict[str, tuple[View, NDArray[np.float32]]]
"""Split -> its impressions as the run sees them, and the probability of each."""


def train_trivial_row(run: RunFolder, dataset: Dataset) -> dict[str, Any]:
    """Fit a trivial row to the training split, evaluate it, write the run folder.

    Returns:
        The contents of result.json.

    Raises:
        MailError: the dataset lacks what the row needs, the draw leaves a split empty, or the dataset was changed in
            the meantime.
        Interrupted: by Ctrl-C.
    """
    try:
        with run.lock(), dataset.changes_reported():
            # Another process may have finished it first.
            return run.result or _train(run, dataset)
    except KeyboardInterrupt:
        raise Interrupted(f"{run.config.cell}: interrupted. Run the same command again.") from None


def _train(run: RunFolder, dataset: Dataset) -> dict[str, Any]:
    config, started = run.config, time.monotonic()
    row, splits = _fit(config, dataset)
    fitted = time.monotonic()
    scored = _score(row, dataset, splits)
    impressions = sum(len(scores) for _, scores in scored.values())
    cost = {
        "training_seconds": round(fitted - started, 1),
        "scoring_microseconds": round(1e6 * (time.monotonic() - fitted) / impressions, 2),
    }
    run.begin()
    validation = measure(dataset, *scored["validation"])
    run.log([{"validation": validation}])
    result = {
        **result_head(config, dataset),
        "validation": validation,
        "test": measure(dataset, *scored["test"]),
    }
    dataset.check_files()
    run.finish(scored["test"][1], environment(time.monotonic() - started, _DEVICES, cost), result)
    trackers.finish(run)
    return result


def score_trivial_row(config: RunConfig, dataset: Dataset) -> SplitScores:
    """The scores of the validation and test splits by a trivial row that is fitted to the training split.

    Raises:
        MailError: as `train_trivial_row`.
    """
    row, splits = _fit(config, dataset)
    return _score(row, dataset, splits)


def _fit(config: RunConfig, dataset: Dataset) -> tuple[TrivialModel, dict[str, View]]:
    """The row, fitted to the training split, and the other splits."""
    dataset.check_history(config.history)
    splits = checked_views(dataset, config)
    row: TrivialModel = plugins.load(plugins.TRIVIAL_ROWS, config.ranker)()
    row.fit(dataset, splits.pop("train"))
    return row, splits


def _score(row: TrivialModel, dataset: Dataset, splits: dict[str, View]) -> SplitScores:
    return {split: (view, row.score(dataset, view).astype(np.float32)) for split, view in splits.items()}
