"""How long several tasks will still take, each of one or more runs: from the pace of those that are being worked on.

A task that has ended shows how long others of its kind take. Before one has, a run is taken to go to its last epoch.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Work(NamedTuple):
    """A task. Runs of tasks of one kind take about equally long."""

    kind: str
    runs: int = 1
    noun: str = "runs"
    """What tasks are called where they are counted; the same for all."""


@dataclass
class _Started:
    """A task that is being worked on."""

    since: float
    runs_ended: int = 0
    share: float = 0.0
    """The share of the current run's work that is done."""
    spent: float = 0.0
    """Seconds of its current run."""
    left: float | None = None
    """Seconds of its current run if it goes to its last epoch; None before its first step."""


class TimeLeft:
    """Estimates the time left from reports about the tasks, which are identified by their numbers.

    Args:
        tasks: what there is to do.
        jobs: how many tasks are worked on at once.
    """

    def __init__(self, tasks: Sequence[Work], jobs: int) -> None:
        self._tasks, self._jobs = tasks, jobs
        self._waiting = dict(enumerate(tasks))
        self._started: dict[int, _Started] = {}
        self._seconds_per_run: dict[str, list[float]] = defaultdict(list)
        """By kind, of the tasks that have ended well."""
        self.failed = 0
        """The number of tasks that have failed."""

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(self._tasks)

    @property
    def noun(self) -> str:
        """What the tasks are called."""
        return self._tasks[0].noun

    @property
    def ended(self) -> int:
        """The number of tasks that have ended, whether well or not."""
        return len(self._tasks) - len(self._waiting) - len(self._started)

    def start(self, task: int) -> None:
        """A task begins."""
        self._waiting.pop(task)
        self._started[task] = _Started(time.monotonic())

    def report(self, task: int, share: float, spent: float, left: float) -> None:
        """How far the current run of a task is.

        Args:
            task: its number.
            share: of the run's work that is done; where it is less than before, this is the task's next run.
            spent: seconds that this share takes at the present pace.
            left: seconds of the rest.
        """
        started = self._started[task]
        started.runs_ended += share < started.share
        started.share, started.spent, started.left = share, spent, left

    def end(self, task: int, failed: bool = False) -> None:
        """A task has ended; one that has failed, perhaps before it began, does not show how long others take."""
        if failed:
            self._waiting.pop(task, None)
            self._started.pop(task, None)
            self.failed += 1
            return
        started, work = self._started.pop(task), self._tasks[task]
        self._seconds_per_run[work.kind].append((time.monotonic() - started.since) / work.runs)

    def seconds(self) -> float | None:
        """Seconds until the last task has ended; None before the first run's first step."""
        by_kind = self._expected()
        if self._waiting and not by_kind:
            return None
        usual = sum(by_kind.values()) / max(len(by_kind), 1)
        times = [self._left_of(task, started) for task, started in self._started.items()]
        known = [seconds for seconds in times if seconds is not None]
        if len(known) < len(times) and not by_kind:
            return None
        # A task that has not reported yet is as long as others of its kind.
        silent = [self._tasks[task] for task, seconds in zip(self._started, times, strict=True) if seconds is None]
        to_come = [work.runs * by_kind.get(work.kind, usual) for work in (*silent, *self._waiting.values())]
        all_times = [*known, *to_come]
        return max(sum(all_times) / self._jobs, *all_times, 0.0)

    def _expected(self) -> dict[str, float]:
        """Seconds of a run by kind, of the kinds of which something is known."""
        running: dict[str, list[float]] = defaultdict(list)
        for task, started in self._started.items():
            if started.left is not None:
                running[self._tasks[task].kind].append(started.spent + started.left)
        known = {**running, **self._seconds_per_run}
        return {kind: sum(seconds) / len(seconds) for kind, seconds in known.items()}

    def _left_of(self, task: int, started: _Started) -> float | None:
        """Seconds of a task that is being worked on; None if nothing is known."""
        work = self._tasks[task]
        usual = self._seconds_per_run.get(work.kind)
        if usual:
            seconds = work.runs * sum(usual) / len(usual) - (time.monotonic() - started.since)
            if seconds > 0:
                return seconds
        if started.left is None:
            return None
        # It is longer than others of its kind, or the first one.
        return started.left + max(work.runs - started.runs_ended - 1, 0) * (started.spent + started.left)
