"""Progress of several processes in one place: bars on a terminal, a line for each run that has ended elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from mailcli.utils import progress
from mailcli.utils.log import is_quiet

logger = logging.getLogger(__name__)


#: Seconds between two reports of a worker (ours: a terminal is not drawn more often).
REPORT_EVERY = 0.5


class Report(NamedTuple):
    """How far a worker is."""

    pid: int
    title: str
    done: float
    total: float


def send_progress_to(reports: Any) -> None:
    """Send this process's progress to a queue of Reports instead of showing it."""

    @contextmanager
    def forwarded(title: str, total: float, unit: str) -> Iterator[progress.Advance]:
        del unit
        done = last = 0.0

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            if time.monotonic() - last >= REPORT_EVERY:
                last = time.monotonic()
                reports.put(Report(os.getpid(), title, done, total))

        yield advance

    progress.show_progress_with(forwarded)


@contextmanager
def show_worker_progress(reports: Any, runs: int) -> Iterator[Callable[[], None]]:
    """Show what workers report; call the yielded function when a run has ended.

    Args:
        reports: a queue of Reports.
        runs: how many will end.
    """
    show = _bars if sys.stderr.isatty() and not is_quiet() else _lines
    with show(runs) as (ended, report):
        listener = threading.Thread(target=_listen, args=(reports, report), daemon=True)
        listener.start()
        try:
            yield ended
        finally:
            reports.put(None)
            listener.join()


def _listen(reports: Any, report: Callable[[Report], None]) -> None:
    while (found := reports.get()) is not None:
        report(found)


_Shown = tuple[Callable[[], None], Callable[[Report], None]]


@contextmanager
def _lines(runs: int) -> Iterator[_Shown]:
    start, done = time.monotonic(), 0

    def ended() -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - start) / done * (runs - done)
        more = f", about {progress.clock(left)} left" if done < runs else ""
        logger.info(f"{done} of {runs} runs done{more}")

    yield ended, lambda _: None


@contextmanager
def _bars(runs: int) -> Iterator[_Shown]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        everything = bars.add_task(f"{runs} runs", total=runs)
        workers: dict[int, TaskID] = {}

        def report(found: Report) -> None:
            if found.pid not in workers:
                workers[found.pid] = bars.add_task(found.title, total=found.total)
            bars.update(workers[found.pid], description=found.title, completed=found.done, total=found.total)

        yield lambda: bars.advance(everything), report
