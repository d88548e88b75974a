"""Messages and progress of several worker processes in one place: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol

from mailcli.escape import terminal
from mailcli.utils import progress
from mailcli.utils.log import LOGGER, is_quiet, log_to_queue
from mailcli.utils.time_left import TimeLeft, Work

logger = logging.getLogger(__name__)


#: Seconds between two reports of a worker (ours: a terminal need not be redrawn more often).
SECONDS_PER_REPORT = 0.5


class Report(NamedTuple):
    """A worker's progress."""

    task: int
    title: str
    done: float
    total: float
    spent: float = 0.0
    """Seconds that the work done so far takes at this pace."""
    left: float | None = None
    """Seconds of the run that is left; None if this is not a run, but for example a table of scores."""


class Started(NamedTuple):
    """A worker begins with a task."""

    task: int


class Ended(NamedTuple):
    """A task has ended."""

    task: int
    failed: bool = False


class Display(Protocol):
    """Shows what workers do."""

    def show(self, report: Report) -> None:
        """Show a worker's progress."""

    def started(self, task: int) -> None:
        """A task begins."""

    def ended(self, task: int, failed: bool) -> None:
        """A task has ended."""


#: In a worker: where it sends what it does, and the number of its task.
_events: Any = None
_task = -1


def send_to(events: Any, level: int) -> None:
    """In a worker: send its progress, and its messages of a level and above, to a queue instead of showing them."""
    global _events
    _events = events
    log_to_queue(events, level)
    progress.show_progress_with(_send)


def begin_task(task: int) -> None:
    """In a worker: what is sent from now on is about this task."""
    global _task
    _task = task
    _events.put(Started(task))


def end_task(failed: bool) -> None:
    """In a worker: its task has ended."""
    _events.put(Ended(_task, failed))


def skip_task(events: Any, task: int) -> None:
    """Outside a worker: a task has failed before it began."""
    events.put(Ended(task, failed=True))


@contextmanager
def _send(title: str, total: float, unit: str, work_done: progress.WorkDone) -> Iterator[progress.Advance]:
    del unit
    pace, last = progress.Pace(total, work_done), 0.0
    # Only runs are shown in parts; other tasks do not say how long runs take.
    is_run = work_done is not progress.NOTHING_DONE

    def advance(amount: float) -> None:
        nonlocal last
        pace.advance(amount)
        if time.monotonic() - last >= SECONDS_PER_REPORT:
            last = time.monotonic()
            spent, seconds_left = pace.done * (pace.seconds_per_unit or 0.0), pace.seconds_left
            _events.put(Report(_task, title, pace.done, total, spent, seconds_left if is_run else None))

    yield advance


@contextmanager
def show_workers(events: Any, tasks: Sequence[Work], jobs: int) -> Iterator[None]:
    """Show what workers send, until the end of the context.

    Args:
        events: a queue.
        tasks: what they work on.
        jobs: the number of workers.
    """
    time_left = TimeLeft(tasks, jobs)
    on_terminal = sys.stderr.isatty() and not is_quiet()
    with _bars(time_left) if on_terminal else nullcontext(_Lines(time_left)) as display:
        # In one thread, and in the order in which they come.
        listener = threading.Thread(target=_listen, args=(events, display), daemon=True)
        listener.start()
        try:
            yield
        finally:
            events.put(None)
            listener.join()


def _listen(events: Any, display: Display) -> None:
    while (event := events.get()) is not None:
        if isinstance(event, logging.LogRecord):
            LOGGER.handle(event)
        elif isinstance(event, Report):
            display.show(event)
        elif isinstance(event, Started):
            display.started(event.task)
        else:
            display.ended(event.task, event.failed)


def tasks_done(time_left: TimeLeft) -> str:
    """`2 of 6 runs done, 1 failed, about 12:30 left`."""
    ended, failed, tasks = time_left.ended, time_left.failed, time_left.tasks
    seconds = time_left.seconds() if ended < tasks else None
    parts = [f"{ended - failed} of {tasks} {time_left.noun} done"]
    if failed:
        parts.append(f"{failed} failed")
    if seconds is not None:
        parts.append(f"about {progress.left(seconds)}")
    return ", ".join(parts)


class _Lines:
    """A line for each task that has ended."""

    def __init__(self, time_left: TimeLeft) -> None:
        self._time_left = time_left

    def show(self, report: Report) -> None:
        """Record it; shows nothing."""
        if report.left is not None:
            self._time_left.report(report.task, report.done / report.total, report.spent, report.left)

    def started(self, task: int) -> None:
        """Record it; shows nothing."""
        self._time_left.start(task)

    def ended(self, task: int, failed: bool) -> None:
        """Log it."""
        self._time_left.end(task, failed)
        logger.info(tasks_done(self._time_left))


class _Bars(_Lines):
    """A bar for all tasks, and one for each that is being worked on."""

    def __init__(self, time_left: TimeLeft, bars: Any) -> None:
        super().__init__(time_left)
        self._bars = bars
        self._all = bars.add_task(f"{time_left.tasks} {time_left.noun}", total=time_left.tasks, left="")
        self._by_task: dict[int, Any] = {}

    def show(self, report: Report) -> None:
        """Move its bar, and update the remaining time."""
        super().show(report)
        title, left = terminal(report.title), progress.left(report.left)
        if report.task not in self._by_task:
            self._by_task[report.task] = self._bars.add_task(title, left="")
        bar = self._by_task[report.task]
        self._bars.update(bar, description=title, completed=report.done, total=report.total, left=left)
        self._show_all()

    def ended(self, task: int, failed: bool) -> None:
        """Remove its bar."""
        self._time_left.end(task, failed)
        if task in self._by_task:
            self._bars.remove_task(self._by_task.pop(task))
        self._show_all()

    def _show_all(self) -> None:
        seconds = self._time_left.seconds()
        left = "" if seconds is None else f"about {progress.left(seconds)}"
        self._bars.update(self._all, completed=self._time_left.ended, left=left)


@contextmanager
def _bars(time_left: TimeLeft) -> Iterator[Display]:
    with progress.new_bars("left") as bars:
        yield _Bars(time_left, bars)
