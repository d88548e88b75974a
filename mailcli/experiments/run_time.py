"""How long runs take: closed forms of what was measured on a few steps."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import NamedTuple

from mailcli.config import RunConfig

#: Seconds of a run besides its batches (ours): the graphs are built, checkpoints and results are written.
START_SECONDS = 5.0


class Speed(NamedTuple):
    """What was measured of a cell's model, and how much there is to do."""

    steps: int
    """Per epoch; 0 for a two-stage method, which is fitted without steps."""
    validations: int
    """Per epoch."""
    step: float
    """Seconds of a training step."""
    validation: float
    """Seconds of a validation, with the statistics of batch normalization that precede it."""
    test: float
    """Seconds to score the test split."""
    numbers: int
    """Numbers in the variables of the model and its optimizers."""
    teachers: int = 0
    """Trained before the first step, each on all users but those of its fold."""


def run_seconds(speed: Speed, config: RunConfig, done: int = 0) -> float:
    """Seconds of a run that goes to its last epoch.

    Args:
        speed: of its cell.
        config: of the run.
        done: steps that an interrupted run has behind it.
    """
    if not speed.steps:
        return START_SECONDS + speed.validation + speed.test
    steps, validations = speed.steps * speed.step, speed.validations * speed.validation
    epochs_left = max(config.epochs - done / speed.steps, 0)
    seconds = START_SECONDS + epochs_left * (steps + validations) + speed.test
    # A run that has done a step has its teachers. Each of K takes 1 - 1 / K of the steps.
    if speed.teachers and not done:
        seconds += config.epochs * ((speed.teachers - 1) * steps + speed.teachers * validations)
    return seconds


def seconds_in_parallel(runs: Iterable[float], jobs: int) -> float:
    """When the last run ends, if each begins as soon as one of `jobs` processes is free."""
    ends = [0.0] * jobs
    for seconds in runs:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def duration(seconds: float) -> str:
    """`1 h 50 min` or `12 min`, rounded up."""
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
