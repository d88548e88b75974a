"""By how much one run's metrics exceed another's, where both have scored the same impressions; intervals over users."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset, dataset_names, open_dataset
from mailcli.data.protocol import View, views
from mailcli.errors import MailError, counted
from mailcli.metrics.bootstrap import percentile_interval
from mailcli.reporting.rows import CONVERSION_METRICS, METRICS, TITLES
from mailcli.runs.folder import RunFolder
from mailcli.runs.identity import dataset_sha256
from mailcli.runs.origin import trained_dataset_sha256
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.training.evaluate import measure_draws
from mailcli.utils.parsing import none_if_nan


class NotComparableError(Exception):
    """Why two runs have not scored the same impressions of the same new users."""


class Difference(NamedTuple):
    """By how much a metric of the second run exceeds that of the first."""

    mean: float | None
    low: float | None
    high: float | None
    """The 95% interval over users; None where they were not drawn."""


class _Scored(NamedTuple):
    """What two runs made of the same impressions."""

    dataset: Dataset
    view: View
    scores: tuple[NDArray[np.float32], NDArray[np.float32]]


def paired_differences(
    first: RunFolder, second: RunFolder, data_dir: Path, draws: int
) -> dict[tuple[str, str], Difference]:
    """By users and metric, how much the second run's exceeds the first's; both are measured on the same draws of users.

    Args:
        first, second: finished runs.
        data_dir: folder of the datasets.
        draws: the number of draws of the test users; 0 for no intervals.

    Raises:
        NotComparableError: they have not scored the same impressions, or the dataset is missing.
        MailError: a file of a run is damaged.
    """
    scored = _scored(first, second, data_dir)
    tests = [metrics_of_test(run) for run in (first, second)]
    drawn = [measure_draws(scored.dataset, scored.view, scores, draws) for scores in scored.scores] if draws else []
    differences = {}
    for users, metric in common_metrics(*tests):
        before, after = (test[users][metric] for test in tests)
        if before is None or after is None:
            differences[users, metric] = Difference(None, None, None)
            continue
        low = high = None
        if drawn:
            low, high = map(none_if_nan, percentile_interval(drawn[1][users][metric] - drawn[0][users][metric]))
        differences[users, metric] = Difference(after - before, low, high)
    return differences


def _scored(first: RunFolder, second: RunFolder, data_dir: Path) -> _Scored:
    """The impressions that both runs have scored (NotComparableError if they are not the same)."""
    names = {run.config.data for run in (first, second)}
    if len(names) > 1:
        raise NotComparableError("the runs are on different datasets")
    name = names.pop()
    if name not in dataset_names(data_dir):
        raise NotComparableError(f"{data_dir} has no dataset '{name}', which says whose impressions they are")
    dataset = open_dataset(data_dir, name)
    for run in (first, second):
        if trained_dataset_sha256(run) != dataset_sha256(dataset):
            raise NotComparableError(f"{run.folder} was trained on another version of the dataset '{name}'")
    splits = [views(dataset, run.config)["test"] for run in (first, second)]
    same = all(np.array_equal(*parts) for parts in zip(*((view.rows, view.new) for view in splits), strict=True))
    # Both protocols draw the same new users of a seed, but hide different things of them.
    if not same or first.config.protocol != second.config.protocol:
        raise NotComparableError("the runs have other new users (protocol, seed or new_share)")
    return _Scored(dataset, splits[0], (_predictions(first, splits[0]), _predictions(second, splits[0])))


def _predictions(run: RunFolder, view: View) -> NDArray[np.float32]:
    scores = run.predictions()
    if scores is None:
        raise NotComparableError(f"{run.folder} holds no predictions.npy")
    if len(scores) != len(view.rows):
        raise MailError(
            f"{run.folder}/predictions.npy: holds {len(scores):,} scores, expected {len(view.rows):,}. {TRAIN_AGAIN}"
        )
    heads = 2 if CONVERSION_METRICS[0] in metrics_of_test(run)["all"] else 1
    if scores.size != heads * len(scores) or not np.isfinite(scores).all():
        expected = f"{counted(heads, 'finite score')} per impression"
        raise MailError(f"{run.folder}/predictions.npy: is damaged (expected {expected}). {TRAIN_AGAIN}")
    return scores


def metrics_of_test(run: RunFolder) -> dict[str, dict[str, Any]]:
    """The metrics of a finished run on the test split, by group of users."""
    groups: dict[str, dict[str, Any]] = (run.result or {})["test"]
    return groups


def common_metrics(
    first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """The groups of users and the metrics that both runs have."""
    return [
        (users, metric)
        for users in TITLES
        if users in first and users in second
        for metric in (*METRICS, *CONVERSION_METRICS)
        if metric in first[users] and metric in second[users]
    ]
