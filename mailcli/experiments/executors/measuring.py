"""Cells measured in processes of their own, as many at once as will train.

So they share the machine in the same way. The processes that train are not touched: what is measured cannot change a
run.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors.parent import end_with_parent
from mailcli.experiments.run_time import Speed
from mailcli.runs.remedy import LESS_MEMORY
from mailcli.utils import progress
from mailcli.utils.hardware import limit_threads
from mailcli.utils.log import log_to_stderr, stderr_level
from mailcli.utils.signals import ignore_interrupts, interrupts_blocked, stop_signals_as_interrupt
from mailcli.utils.tensorflow_startup import load_tensorflow


class MeasuredModel(NamedTuple):
    """What is measured: the model of a run."""

    config: RunConfig
    dataset: Path
    """The dataset's folder."""


def measure_cells(cells: Sequence[MeasuredModel], jobs: int, threads_each: int) -> list[Speed]:
    """The speed of each cell.

    Args:
        cells: one or more.
        jobs: the number of processes.
        threads_each: the threads of each.

    Raises:
        MailError: a model cannot be built or does not fit into memory, the user's code has failed, or a process was
            killed.
        Interrupted: by Ctrl-C.
    """
    context = multiprocessing.get_context("spawn")
    arguments = (threads_each, stderr_level() or logging.WARNING)
    # Children of a program that uses the Python API.
    others = set(multiprocessing.active_children())
    processes = min(jobs, len(cells))
    pool = ProcessPoolExecutor(processes, context, _initialize, arguments)
    try:
        with stop_signals_as_interrupt():
            with interrupts_blocked():
                speeds = pool.map(_measure, cells)
            return list(speeds)
    except KeyboardInterrupt:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise Interrupted("Interrupted before training began. Run the same command again.") from None
    except BrokenExecutor as error:
        remedy = "Run the same command with --jobs 1 to use less memory" if processes > 1 else LESS_MEMORY
        raise MailError(
            f"A process that measures how long training will take was killed, possibly out of memory. {remedy}."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _measure(model: MeasuredModel) -> Speed:
    load_tensorflow()
    from mailcli.experiments.speed import measure_speed
    from mailcli.training.train import errors_explained

    dataset = Dataset(model.dataset)
    try:
        with errors_explained(model.config, dataset):
            return measure_speed(model.config, dataset)
    finally:
        # A model and its graphs refer to each other; the next one needs their memory.
        gc.collect()


def _initialize(threads_each: int, log_level: int) -> None:
    """Before a process's first cell: its threads, its messages, and that only its parent ends it."""
    limit_threads(threads_each)
    log_to_stderr(log_level)
    progress.show_progress_with(_no_progress)
    ignore_interrupts()
    end_with_parent()


@contextmanager
def _no_progress(title: str, total: float, unit: str, work_done: progress.WorkDone) -> Iterator[progress.Advance]:
    del title, total, unit, work_done
    yield lambda _: None
