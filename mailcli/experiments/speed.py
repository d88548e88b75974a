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

    def batches(split: str, number: int | None = None) -> Batches:
        view = splits[split]
        view = view if number is None else view._replace(rows=view.rows[: number * config.batch_size])
        made = Batches(dataset, view, config.history, config.batch_size)
        if split == "train" and prepares(model.cold_start):
            # Training has numbers there, and what a method does where there are none takes time.
            made.held_out = np.zeros(len(view.rows), np.float32)
        return made

    scorer = Scorer(model)
    sample = batches("validation", _BATCHES)
    scorer(batches("validation", 1), "measuring")
    scoring = _seconds(lambda: scorer(sample, "measuring")) / len(sample.view.rows)
    validation, test = (scoring * len(splits[name].rows) for name in ("validation", "test"))
    if is_two_stage(config):
        return Speed(0, 1, 0.0, validation, test, _count(model.variables))
    step = make_step(model, config)
    seconds = _time_steps(step, batches("train"), config.seed)
    # Afterwards, for it sets the statistics that training begins with.
    normalized = batches("train", _BATCHES)
    normalization = NormalizationStatistics(model, normalized, config.seed)
    for call in (step.catch_up, normalization.update):
        call()
    validation += _seconds(step.catch_up)
    impressions = min(len(splits["train"].rows), IMPRESSIONS)
    validation += _seconds(normalization.update) * impressions / len(normalized.view.rows)
    steps = len(batches("train"))
    validations = len(validated_steps(steps, config.eval_every))
    numbers = _count([*model.variables, *step.variables])
    return Speed(steps, validations, seconds, validation, test, numbers, model.cold_start.teachers)


def _time_steps(step: Step, batches: Batches, seed: int) -> float:
    """Seconds of a training step, reading its batch included; the median, since other programs interrupt some."""
    with closing(_endless(batches, seed)) as stream:
        for batch in islice(stream, _WARM_UP):
            step(to_tensors(batch))
        ends = [time.perf_counter()]
        while len(ends) <= _LEAST or (len(ends) <= _MOST and ends[-1] - ends[0] < _SECONDS):
            losses = step(to_tensors(next(stream)))
            # A step has ended when its losses are there.
            _ = [float(value) for value in losses.values()]
            ends.append(time.perf_counter())
        return float(np.median(np.diff(ends)))


def _endless(batches: Batches, seed: int) -> Generator[Batch]:
    for epoch in count(1):
        yield from batches.shuffled(seed, epoch)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _count(variables: list[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
