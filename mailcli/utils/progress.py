"""Progress on stderr: a bar with speed and remaining time on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mailcli.escape import terminal
from mailcli.utils.log import is_quiet

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)


class WorkDone(NamedTuple):
    """How far a task is that is shown in parts, such as a run from validation to validation."""

    done: float = 0.0
    """The work done in earlier parts, in this process or before."""
    measured: float = 0.0
    """The part of `done` that this process did, in `seconds`."""
    seconds: float = 0.0
    """Seconds since this process began the task, including the time between its parts."""


#: The state of a task that is just beginning.
NOTHING_DONE = WorkDone()

Advance = Callable[[float], None]
ProgressDisplay = Callable[[str, float, str, WorkDone], AbstractContextManager[Advance]]
"""Shows the progress of a task; it has the arguments of `progress`."""

_display: ProgressDisplay | None = None


def show_progress_with(display: ProgressDisplay) -> None:
    """Replace the bar and the lines by another display, for the rest of the process."""
    global _display
    _display = display


#: A task stands still when it has not advanced for this many seconds, and for this many times the average gap between
#: earlier advances (ours): DuckDB cannot tell how far it has read a CSV file that it joins.
STILL_SECONDS, STILL_TIMES = 10.0, 10.0
#: Seconds between two lines when stderr is a file or a pipe (ours: a log of hours stays readable).
SECONDS_PER_LINE = 10.0


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, whole_seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole_seconds:02d}" if hours else f"{minutes}:{whole_seconds:02d}"


def _amount(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value:.2g}" if value < 1 else f"{value:.0f}"


class Pace:
    """How fast a task advances in wall-clock time: from the end of the first piece of work, which also builds graphs.

    Args:
        total: the amount of work.
        work_done: what was done before.
    """

    def __init__(self, total: float, work_done: WorkDone = NOTHING_DONE) -> None:
        self.total, self.done = total, work_done.done
        self._measured = work_done.measured
        self._start = time.monotonic() - work_done.seconds if work_done.measured else None
        self._advances = 0
        self._first_advance = self._last_advance = time.monotonic()

    def advance(self, amount: float) -> None:
        """Count the work that was just done."""
        self.done += amount
        if amount:
            self._last_advance = time.monotonic()
            self._advances += 1
            self._first_advance = self._last_advance if self._advances == 1 else self._first_advance
        if self._start is None:
            self._start = time.monotonic()
        else:
            self._measured += amount

    @property
    def seconds_per_unit(self) -> float | None:
        """Seconds that a unit of work takes; None before anything was measured, and while the task stands still."""
        if self._start is None or not self._measured or self._stands_still:
            return None
        return (time.monotonic() - self._start) / self._measured

    @property
    def _stands_still(self) -> bool:
        usual = (self._last_advance - self._first_advance) / max(self._advances - 1, 1)
        return time.monotonic() - self._last_advance > max(STILL_SECONDS, STILL_TIMES * usual)

    @property
    def seconds_left(self) -> float | None:
        """Seconds of the work that is left; None if that is not known."""
        seconds = self.seconds_per_unit
        return None if seconds is None else max(self.total - self.done, 0) * seconds

    def speed(self, unit: str) -> str:
        """`12.3k impressions/s`; empty if it is not known, or if one takes more than ten seconds."""
        seconds = self.seconds_per_unit
        return f"{_amount(1 / seconds)} {unit}/s" if seconds and seconds <= 10 else ""


def left(seconds: float | None) -> str:
    """`2:03 left`; empty if it is not known."""
    return "" if seconds is None else f"{clock(seconds)} left"


@contextmanager
def progress(title: str, total: float, unit: str, work_done: WorkDone = NOTHING_DONE) -> Iterator[Advance]:
    """Show the progress of a task; call the yielded function with the amount of work just done.

    Args:
        title: name of the task, e.g. `"epoch 1"`.
        total: the amount of work, in `unit`, earlier parts included.
        unit: what is counted, e.g. `"impressions"`.
        work_done: earlier parts of the task.
    """
    if is_quiet():
        yield lambda _: None
        return
    display = _display or (_bar if sys.stderr.isatty() else _lines)
    with display(title, total, unit, work_done) as advance:
        yield advance


def new_bars(*fields: str) -> Progress:
    """Bars on a terminal: the name of each task, its bar and percentage, and the given fields of the task as text."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        # A name in brackets is not a style.
        TextColumn("{task.description}", markup=False),
        # As wide as there is room.
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        *(TextColumn(f"{{task.fields[{field}]}}") for field in fields),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, expand=True)


@contextmanager
def _bar(title: str, total: float, unit: str, work_done: WorkDone) -> Iterator[Advance]:
    pace = Pace(total, work_done)
    with new_bars("speed", "left") as bars:
        task = bars.add_task(terminal(title), total=total, speed="", left="")
        bars.update(task, completed=work_done.done)

        def advance(amount: float) -> None:
            pace.advance(amount)
            bars.update(task, completed=pace.done, speed=pace.speed(unit), left=left(pace.seconds_left))

        yield advance


@contextmanager
def _lines(title: str, total: float, unit: str, work_done: WorkDone) -> Iterator[Advance]:
    pace, last = Pace(total, work_done), time.monotonic()

    def advance(amount: float) -> None:
        nonlocal last
        pace.advance(amount)
        now = time.monotonic()
        if now - last >= SECONDS_PER_LINE and pace.done < total:
            last = now
            parts = [f"{title}: {pace.done / total:.0%}", pace.speed(unit), left(pace.seconds_left)]
            logger.info(", ".join(filter(None, parts)))

    yield advance
