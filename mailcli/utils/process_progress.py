"""Progress of several worker processes in one place: bars on a terminal, one line per finished run elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from mailcli.escape import terminal
from mailcli.utils import progress
from mailcli.utils.log import is_quiet

logger = logging.getLogger(__name__)


#: Seconds between two reports of a worker (ours: a terminal need not be redrawn more often).
SECONDS_PER_REPORT = 0.5


class Report(NamedTuple):
    """A worker's progress."""

    pid: int
    title: str
    done: float
    total: float


def send_progress_to(reports: Any) -> None:
    """Send this process's progress to a queue of Reports instead of showing it."""

    @contextmanager
    def send(title: str, total: float, unit: str) -> Iterator[progress.Advance]:
        del unit
        done = last = 0.0

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            if time.monotonic() - last >= SECONDS_PER_REPORT:
                last = time.monotonic()
                reports.put(Report(os.getpid(), title, done, total))

        yield advance

    progress.show_progress_with(send)


@contextmanager
def show_worker_progress(reports: Any, runs: int) -> Iterator[Callable[[], None]]:
    """Show the progress that workers report; call the yielded function when a run has finished.

    Args:
        reports: a queue of Reports.
        runs: the number of runs.
    """
    display = _bars if sys.stderr.isatty() and not is_quiet() else _lines
    with display(runs) as (finish_run, show):
        listener = threading.Thread(target=_listen, args=(reports, show), daemon=True)
        listener.start()
        try:
            yield finish_run
        finally:
            reports.put(None)
            listener.join()


def _listen(reports: Any, show: Callable[[Report], None]) -> None:
    while (report := reports.get()) is not None:
        show(report)


_Display = tuple[Callable[[], None], Callable[[Report], None]]
"""What to call when a run has finished, and with each report."""


@contextmanager
def _lines(runs: int) -> Iterator[_Display]:
    start, done = time.monotonic(), 0

    def finish_run() -> None:
        nonlocal done
        done += 1
        seconds_left = (time.monotonic() - start) / done * (runs - done)
        estimate = f", about {progress.clock(seconds_left)} left" if done < runs else ""
        logger.info(f"{done} of {runs} runs done{estimate}")

    yield finish_run, lambda _: None


@contextmanager
def _bars(runs: int) -> Iterator[_Display]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        all_runs = bars.add_task(f"{runs} runs", total=runs)
        workers: dict[int, TaskID] = {}

        def show(report: Report) -> None:
            title = terminal(report.title)
            if report.pid not in workers:
                workers[report.pid] = bars.add_task(title, total=report.total)
            bars.update(workers[report.pid], description=title, completed=report.done, total=report.total)

        yield lambda: bars.advance(all_runs), show
