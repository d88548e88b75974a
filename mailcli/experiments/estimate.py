"""What `mail run`, `compare`, `ablate` and `train` say before they begin: how long it will take at most."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.errors import counted
from mailcli.experiments.executors.measuring import MeasuredModel, measure_cells
from mailcli.experiments.executors.processes import jobs_and_threads
from mailcli.experiments.plan import PlannedRun, PlannedTable, largest_run_memory, missing_runs
from mailcli.experiments.run_time import Speed, duration, run_seconds, seconds_in_parallel
from mailcli.utils.log import is_quiet

logger = logging.getLogger(__name__)

#: Work that is not measured before it begins (ours): it ends within a few minutes, of which measuring would be a part.
SMALL_STEPS, SMALL_IMPRESSIONS = 2_000, 500_000
#: An estimate below this is not worth a line (ours).
SMALL_SECONDS = 60.0
#: Cells whose measured step is named, the slowest first (ours).
NAMED_CELLS = 6


@dataclass(frozen=True)
class TimeEstimate:
    """How long the missing runs of some tables take, if each goes to its last epoch.

    Audits and the fits of two-stage methods are not counted: seconds to a minute each.
    """

    missing: Sequence[PlannedRun]
    speeds: dict[str, Speed]
    """By `cell_key`."""
    jobs: int
    """How many are trained at once."""
    seconds: float
    scaled: int = 0
    """The number of datasets for which nothing was measured, but scaled."""

    def text(self) -> str:
        """One line."""
        count = len(self.missing)
        runs = f"{counted(count, 'run')} to train" + (f", {self.jobs} at once" if count > 1 else "")
        caps = {run.config.epochs for run in self.missing}
        last = f"epoch {caps.pop()}" if len(caps) == 1 else "its last epoch"
        subject = "every run" if count > 1 else "it"
        most = f"at most {duration(self.seconds)} of steps and scoring if {subject} goes to {last}"
        return f"{runs}: {most} (measured: {self._measured()})."

    def _measured(self) -> str:
        """The seconds of a step by the name of the row, the slowest first."""
        steps: dict[str, float] = {}
        for run in self.missing:
            steps[run.name] = max(self.speeds[run.cell_key].step, steps.get(run.name, 0.0))
        slowest = sorted(steps, key=lambda name: -steps[name])
        texts = [
            f"{name} {_three_digits(1000 * steps[name])} ms/step" if steps[name] else f"{name} is fitted without steps"
            for name in slowest[:NAMED_CELLS]
        ]
        rest = len(slowest) - len(texts)
        scaled = f"; scaled to the impressions of {counted(self.scaled, 'other world')}" if self.scaled else ""
        return ", ".join([*texts, *([f"{rest} more"] if rest else [])]) + scaled


def _three_digits(number: float) -> str:
    """`21.3`, or `3,540` without an exponent."""
    return f"{number:.3g}" if number < 1000 else f"{round(number, -1):,.0f}"


def announce(tables: Sequence[PlannedTable], jobs: int | None) -> None:
    """Say how long the missing runs take, where that is more than a minute; small work is not measured.

    Raises:
        MailError: a run cannot be made.
        Interrupted: by Ctrl-C.
    """
    if is_quiet() or is_small(missing_runs(tables)):
        return
    for table in tables:
        table.check()
    estimate = estimate_time(tables, jobs)
    if estimate.seconds >= SMALL_SECONDS:
        logger.info(estimate.text())


def is_small(runs: Iterable[PlannedRun]) -> bool:
    """Whether runs take so little that measuring them first is not worth it."""
    runs = list(runs)
    impressions = [run.config.epochs * run.dataset.counts["train"] for run in runs]
    steps = sum(count // run.config.batch_size for count, run in zip(impressions, runs, strict=True))
    return steps < SMALL_STEPS and sum(impressions) < SMALL_IMPRESSIONS


def estimate_time(tables: Sequence[PlannedTable], jobs: int | None) -> TimeEstimate:
    """Measure each cell of the missing runs once; in a grid on one dataset, and scale that to the others.

    Args:
        tables: those of a grid are trained together, any others one after the other; there is a missing run.
        jobs: the value of --jobs.

    Raises:
        MailError: a run cannot be made.
        Interrupted: by Ctrl-C.
    """
    measured: dict[str, tuple[Speed, Dataset]] = {}
    speeds: dict[str, Speed] = {}
    total, most_jobs, counted_folders = 0.0, 1, set[Path]()
    for _, tables_at_once in groupby(tables, key=lambda table: table.grid or id(table)):
        tables_together = list(tables_at_once)
        runs = [run for table in tables_together for run in table.runs()]
        missing = [run for run in runs if not run.is_finished and run.folder not in counted_folders]
        if not missing:
            continue
        # As they are trained.
        missing.sort(key=lambda run: run.config.seed)
        counted_folders.update(run.folder for run in missing)
        parallel, threads_each = jobs_and_threads(len(runs), largest_run_memory(tables_together), jobs)
        by_key: dict[str, PlannedRun] = {}
        for run in missing:
            by_key.setdefault(run.measured_as, run)
        unmeasured = [run for key, run in by_key.items() if key not in measured]
        if unmeasured:
            models = [MeasuredModel(run.config, run.dataset.folder) for run in unmeasured]
            new = measure_cells(models, parallel, threads_each)
            measured |= {run.measured_as: (speed, run.dataset) for run, speed in zip(unmeasured, new, strict=True)}
        speeds |= {run.cell_key: _scaled_to(run.dataset, *measured[run.measured_as]) for run in missing}
        seconds = [run_seconds(speeds[run.cell_key], run.config, run.steps_done) for run in missing]
        total += seconds_in_parallel(seconds, parallel)
        most_jobs = max(most_jobs, parallel)
    missing = missing_runs(tables)
    scaled = {run.dataset.folder for run in missing} - {dataset.folder for _, dataset in measured.values()}
    return TimeEstimate(missing, speeds, min(most_jobs, len(missing)), total, len(scaled))


def _scaled_to(dataset: Dataset, speed: Speed, measured_on: Dataset) -> Speed:
    """The speed on another dataset of the same form, with the work scaled to its numbers of impressions."""
    if dataset.folder == measured_on.folder:
        return speed
    train, validation, test = (dataset.counts[split] / measured_on.counts[split] for split in SPLITS)
    return speed._replace(
        steps=math.ceil(speed.steps * train), validation=speed.validation * validation, test=speed.test * test
    )
