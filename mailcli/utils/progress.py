"""Progress on stderr: a bar with speed and remaining time on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mailcli.escape import terminal
from mailcli.utils.log import is_quiet

logger = logging.getLogger(__name__)


Advance = Callable[[float], None]
ProgressDisplay = Callable[[str, float, str], AbstractContextManager[Advance]]
"""Shows the progress of a task; it has the arguments of `progress`."""

_display: ProgressDisplay | None = None


def show_progress_with(display: ProgressDisplay) -> None:
    """Replace the bar and the lines by another display, for the rest of the process."""
    global _display
    _display = display


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
    return f"{value:.0f}"


@contextmanager
def progress(title: str, total: float, unit: str) -> Iterator[Advance]:
    """Show the progress of a task; call the yielded function with the amount of work just done.

    Args:
        title: name of the task, e.g. `"epoch 1"`.
        total: the amount of work, in `unit`.
        unit: what is counted, e.g. `"impressions"`.
    """
    if is_quiet():
        yield lambda _: None
        return
    display = _display or (_bar if sys.stderr.isatty() else _lines)
    with display(title, total, unit) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: float, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        # A name in brackets is not a style.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(terminal(title), total=total, speed="")
        start = time.monotonic()
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            speed = done / max(time.monotonic() - start, 1e-9)
            bars.update(task, completed=done, speed=f"{_amount(speed)} {unit}/s")

        yield advance


@contextmanager
def _lines(title: str, total: float, unit: str) -> Iterator[Advance]:
    start = last = time.monotonic()
    done = 0.0

    def advance(amount: float) -> None:
        nonlocal done, last
        done += amount
        now = time.monotonic()
        if now - last >= SECONDS_PER_LINE and done < total:
            last = now
            speed = done / (now - start)
            left = clock((total - done) / speed) if done > total / 100 else "?"
            logger.info(f"{title}: {done / total:.0%}, {_amount(speed)} {unit}/s, {left} left")

    yield advance
