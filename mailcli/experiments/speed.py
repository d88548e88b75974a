"""The speed of a cell's model on this machine, measured on a few batches of a run; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import count, islice
from typing import Any

import numpy as np

from mailcli.config import RunConfig
from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.experiments.run_time import Speed
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import is_two_stage
from mailcli.models.step import Step, make_step
from mailcli.models.two_tower import TwoTower
from mailcli.training.loop import validated_steps
from mailcli.training.normalization import IMPRESSIONS, NormalizationStatistics
from mailcli.training.preparation import prepares
from mailcli.training.scorer import Scorer
from mailcli.training.train import model_and_splits

#: The first steps build graphs and fill caches (ours).
_WARM_UP = 3
#: How long steps are timed, and their number (ours): short steps vary, and long ones should not take long.
_SECONDS, _LEAST, _MOST = 1.5, 3, 100
#: Batches that are scored or normalized for a measurement (ours).
_BATCHES = 4


def measure_speed(config: RunConfig, dataset: Dataset) -> Speed:
    """Build the model of a run, train it for a few steps, and score a few batches.

    Raises:
        MailError: the config does not suit the dataset or this machine.
    """
    model, splits = model_and_splits(config, dataset)
    batches = {name: Batches.of_run(dataset, view, config) for name, view in splits.items()}
    per_score = _time_scoring(model, batches["validation"])
    validation, test = (per_score * len(splits[name].rows) for name in ("validation", "test"))
    if is_two_stage(config):
        numbers = _count(model.whole(model.variables))
        return Speed(steps=0, validations=1, step=0.0, validation=validation, test=test, numbers=numbers)
    train = batches["train"]
    if prepares(model.cold_start):
        # Training has numbers there, and what a method does where there are none takes time.
        train.prepared = np.zeros(len(train.view.rows), np.float32)
    step = make_step(model, config)
    step_seconds = _time_steps(step, train, config.seed)
    # Afterwards, for it sets the statistics that training begins with.
    validation += _time_before_scoring(model, step, train, config.seed)
    return Speed(
        steps=len(train),
        validations=len(validated_steps(len(train), config.eval_every)),
        step=step_seconds,
        validation=validation,
        test=test,
        numbers=_count([*model.whole(model.variables), *step.variables]),
        teachers=model.cold_start.teachers,
    )


def _time_scoring(model: TwoTower, batches: Batches) -> float:
    """Seconds to score an impression."""
    scorer, sample = Scorer(model), _first_batches(batches, _BATCHES)
    # The graph is built in the first batch.
    scorer(_first_batches(batches, 1), "measuring")
    return _seconds(lambda: scorer(sample, "measuring")) / len(sample.view.rows)


def _time_before_scoring(model: TwoTower, step: Step, train: Batches, seed: int) -> float:
    """Seconds of what precedes the scores of a validation: rows that catch up, and the normalization statistics."""
    sample = _first_batches(train, _BATCHES)
    normalization = NormalizationStatistics(model, sample, seed)
    # Graphs are built in the first calls.
    step.catch_up()
    normalization.update()
    impressions = min(len(train.view.rows), IMPRESSIONS)
    return _seconds(step.catch_up) + _seconds(normalization.update) * impressions / len(sample.view.rows)


def _first_batches(batches: Batches, number: int) -> Batches:
    view = batches.view._replace(rows=batches.view.rows[: number * batches.batch_size])
    first = Batches(batches.dataset, view, batches.history, batches.batch_size)
    if batches.prepared is not None:
        first.prepared = batches.prepared[: len(view.rows)]
    return first


def _time_steps(step: Step, batches: Batches, seed: int) -> float:
    """Seconds of a training step, reading its batch included; the median, since other programs interrupt some."""
    with closing(_endless(batches, seed)) as stream:
        for batch in islice(stream, _WARM_UP * step.update_every):
            step(to_tensors(batch))
        ends = [time.perf_counter()]
        while len(ends) <= _LEAST or (len(ends) <= _MOST and ends[-1] - ends[0] < _SECONDS):
            # A tower that is not trained in each step makes some longer than others.
            for _ in range(step.update_every):
                losses = step(to_tensors(next(stream)))
                # A step has ended when its losses are there.
                _ = [float(value) for value in losses.values()]
            ends.append(time.perf_counter())
        return float(np.median(np.diff(ends))) / step.update_every


def _endless(batches: Batches, seed: int) -> Generator[Batch]:
    for epoch in count(1):
        yield from batches.shuffled(seed, epoch)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _count(variables: list[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
