"""Progress on stderr: a bar with speed and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mailcli.utils.log import is_quiet

logger = logging.getLogger(__name__)


Advance = Callable[[float], None]
ProgressDisplay = Callable[[str, float, str], AbstractContextManager[Advance]]
"""What shows a piece of work: called as `progress` is."""

_other: ProgressDisplay | None = None


def show_progress_with(show: ProgressDisplay) -> None:
    """Show progress in another way from now on, in the whole process."""
    global _other
    _other = show


#: Seconds between two lines when stderr is a file or a pipe (ours: a log of hours stays readable).
LINE_EVERY = 10.0


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _amount(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value:.0f}"


@contextmanager
def progress(title: str, total: float, unit: str) -> Iterator[Advance]:
    """Show how far a piece of work is; call the yielded function with the amount just done.

    Args:
        title: what is being done, e.g. `"epoch 1"`.
        total: the amount of work, in `unit`.
        unit: what is counted, e.g. `"impressions"`.
    """
    if is_quiet():
        yield lambda _: None
        return
    show = _other or (_bar if sys.stderr.isatty() else _lines)
    with show(title, total, unit) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: float, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=total, speed="")
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
        if now - last >= LINE_EVERY and done < total:
            last = now
            speed = done / (now - start)
            left = clock((total - done) / speed) if done > total / 100 else "?"
            logger.info(f"{title}: {done / total:.0%}, {_amount(speed)} {unit}/s, {left} left")

    yield advance
