"""Several runs in parallel, each in a process of its own with its share of the cores.

Small batches do not fill many cores: two runs in parallel with one thread each are faster than two in turn with two.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from typing import Any

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.executors.failures import Failures
from mailcli.experiments.executors.parent import end_with_parent
from mailcli.experiments.executors.tasks import PoolTask, Task
from mailcli.utils import process_progress
from mailcli.utils.hardware import limit_threads, memory_bytes, threads
from mailcli.utils.log import LOGGER
from mailcli.utils.signals import ignore_interrupts, interrupts_blocked, stop_signals_as_interrupt, stop_signals_ignored
from mailcli.utils.tensorflow_startup import load_tensorflow
from mailcli.utils.time_left import TimeLeft, Work

logger = logging.getLogger(__name__)

#: Seconds that a worker whose parent has ended may take to write its checkpoint (ours); then the worker ends at once.
CHECKPOINT_SECONDS = 8.0


def jobs_and_threads(runs: int, memory: int, jobs: int | None) -> tuple[int, int]:
    """The number of runs in parallel, and the threads of each.

    Args:
        runs: the number of runs.
        memory: bytes that one run takes.
        jobs: the value of --jobs, 1 or more; None for as many as cores and memory allow.
    """
    cores = threads()
    parallel = min(jobs or min(cores, max((memory_bytes() or memory) // memory, 1)), runs)
    return parallel, max(1, cores // parallel)


def train_all(tasks: Sequence[Task], jobs: int, threads_each: int) -> None:
    """Train the runs in the given order; a two-stage method waits for its baseline.

    Args:
        tasks: the missing runs.
        jobs: the number of runs in parallel; if it is 1, they are trained in this process.
        threads_each: the threads of each process, if there are several.

    Raises:
        MailError: a run cannot be trained; or one has failed, after all others have finished.
        Interrupted: by Ctrl-C, after all runs have written their checkpoints.
    """
    work_on_all(_train, tasks, jobs, threads_each)


def work_on_all(work: Callable[[Any], None], tasks: Sequence[PoolTask], jobs: int, threads_each: int) -> None:
    """As `train_all`, with another function for a task: one of a module's top level, so that workers find it."""
    if jobs == 1:
        _work_one_by_one(work, tasks, _build_models(tasks))
    else:
        _Pool(jobs, threads_each).run(tasks, work)


def _work_one_by_one(work: Callable[[Any], None], tasks: Sequence[PoolTask], two_stage: Sequence[bool]) -> None:
    """Work on all tasks in this process, and say after each but the last how long the others take.

    Those that have failed are reported at once and in the end; `two_stage` says which need the baseline's run.
    """
    time_left, failures = TimeLeft(_works(tasks), 1), Failures(tasks)
    for number, task in enumerate(tasks):
        error: Exception | None = failures.of_baseline(task) if two_stage[number] else None
        if error is None:
            time_left.start(number)
            try:
                work(task)
            except (MailError, OSError) as raised:
                error = raised
        time_left.end(number, failed=error is not None)
        if error is not None:
            failures.add(task, error)
        if number < len(tasks) - 1:
            logger.info(process_progress.tasks_done(time_left))
    failures.raise_any()


def _works(tasks: Sequence[PoolTask]) -> list[Work]:
    """What decides how long tasks take: about the same for all seeds of a cell, and in all worlds of a grid."""
    return [Work(repr(_cell(task)), task.run_count, task.noun) for task in tasks]


def _cell(task: PoolTask) -> RunConfig:
    """What the tasks of one cell have in common, on any dataset."""
    return replace(task.config.without_seed(), data="")


def _build_models(tasks: Sequence[PoolTask]) -> list[bool]:
    """Build the model of each cell, so that an error shows before hours of training; returns which are two-stage.

    Of a grid of worlds only one is tried: they differ in the sizes of vocabularies.
    """
    load_tensorflow()
    from mailcli.models.factory import is_two_stage
    from mailcli.training.train import model_and_splits

    cells = {repr(_cell(task)): task for task in reversed(tasks)}
    for task in reversed(cells.values()):
        model_and_splits(task.config, Dataset(task.dataset))
    return [is_two_stage(task.config) for task in tasks]


def _train(task: Task) -> None:
    train_if_missing(task.config, Dataset(task.dataset), task.folders, task.checkpoint_minutes)


#: A task's number, the task, and whether it waits for its baseline.
_Waiting = tuple[int, PoolTask, bool]


class _Pool:
    """Worker processes. The terminal's Ctrl-C reaches only this process, which forwards it to each of them once."""

    def __init__(self, jobs: int, threads_each: int) -> None:
        #: Processes that are not workers: children of a program that uses the Python API.
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        self._events: Any = context.Queue()
        self._stopping: Any = context.Event()
        arguments = (threads_each, self._events, self._stopping, LOGGER.level)
        self._executor = ProcessPoolExecutor(jobs, context, _initialize_worker, arguments)
        self._jobs = jobs
        self._building: list[Future[list[bool]]] = []
        self._running: dict[Future[None], PoolTask] = {}

    def run(self, tasks: Sequence[PoolTask], work: Callable[[Any], None]) -> None:
        """Work on all tasks (MailError: some have failed, and how)."""
        failures = Failures(tasks)
        with process_progress.show_workers(self._events, _works(tasks), self._jobs), stop_signals_as_interrupt():
            try:
                with interrupts_blocked():
                    # The first worker starts here, the others in `_start`.
                    self._building = [self._executor.submit(_interruptible, _build_models, tasks)]
                two_stage = self._building[0].result()
                waiting = list(zip(range(len(tasks)), tasks, two_stage, strict=True))
                while waiting or self._running:
                    waiting = self._start(waiting, work, failures)
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._finish(future, failures)
            except KeyboardInterrupt:
                self._stop()
            except BrokenExecutor as error:
                raise MailError(
                    "A training process was killed, possibly out of memory. Finished work is saved; run the same "
                    "command to resume, with --jobs 1 to use less memory."
                ) from error
            finally:
                # Another Ctrl-C would break the wait for the workers, which then wait for this process forever.
                with stop_signals_ignored():
                    self._executor.shutdown(cancel_futures=True)
        failures.raise_any()

    def _start(self, waiting: list[_Waiting], work: Callable[[Any], None], failures: Failures) -> list[_Waiting]:
        """Give idle workers the tasks that can start; returns the others, without those whose baseline has failed."""
        still_waiting: list[_Waiting] = []
        for number, task, two_stage in waiting:
            # Its baseline is a run of its own, which must have ended first.
            baseline = task.config.baseline().key
            unfinished = [*self._running.values(), *(earlier for _, earlier, _ in still_waiting)]
            blocked = two_stage and any(earlier.config.key == baseline for earlier in unfinished)
            failure = failures.of_baseline(task) if two_stage else None
            if failure:
                failures.add(task, failure)
                process_progress.skip_task(self._events, number)
            elif blocked or len(self._running) >= self._jobs:
                still_waiting.append((number, task, two_stage))
            else:
                with interrupts_blocked():
                    # Another worker may start here.
                    future = self._executor.submit(_work_on, work, number, task)
                self._running[future] = task
        return still_waiting

    def _finish(self, future: Future[None], failures: Failures) -> None:
        task = self._running.pop(future)
        error = future.exception()
        if error is not None:
            failures.add(task, error)

    def _stop(self) -> None:
        """Let the workers write their checkpoints; a second Ctrl-C stops them at once."""
        self._stopping.set()
        for _ in range(2):
            for worker in set(multiprocessing.active_children()) - self._others:
                assert worker.pid
                os.kill(worker.pid, signal.SIGINT)
            try:
                unfinished: list[Future[Any]] = [*self._running, *self._building]
                wait(unfinished)
                break
            except KeyboardInterrupt:
                continue
        errors = [future.exception() for future in self._running]
        for error in errors:
            if isinstance(error, Interrupted):
                logger.info(error.message)
        raise Interrupted("Interrupted. Run the same command to resume.")


#: In a worker: the event by which the parent stops it.
_stopping: Any = None
#: In a worker: held while it works on a task.
_working = threading.Lock()


def _initialize_worker(threads_each: int, events: Any, stopping: Any, log_level: int) -> None:
    """Before a worker's first task: set its threads, its signals, and where its messages and progress go."""
    global _stopping
    _stopping = stopping
    limit_threads(threads_each)
    process_progress.send_to(events, log_level)
    ignore_interrupts()
    if hasattr(os, "setpgrp"):
        # Leave the terminal's process group, so that Ctrl-C reaches only the parent.
        os.setpgrp()
    end_with_parent(_write_checkpoint)


def _write_checkpoint() -> None:
    """Stop what a worker is doing as Ctrl-C does, and wait until it has."""
    os.kill(os.getpid(), signal.SIGINT)
    _working.acquire(timeout=CHECKPOINT_SECONDS)


def _work_on(work: Callable[[Any], None], number: int, task: PoolTask) -> None:
    """Work on a task in a worker, which says when it begins and when it has ended."""
    process_progress.begin_task(number)
    try:
        _interruptible(work, task)
    except Interrupted:
        raise
    except Exception:
        process_progress.end_task(failed=True)
        raise
    process_progress.end_task(failed=False)


def _interruptible(work: Any, argument: Any) -> Any:
    """Run a task in a worker; Ctrl-C interrupts it and is ignored at all other times."""
    with _working:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            parent = multiprocessing.parent_process()
            if _stopping.is_set() or not (parent and parent.is_alive()):
                raise KeyboardInterrupt
            return work(argument)
        except KeyboardInterrupt:
            # It came before the first step, or for the second time.
            raise Interrupted("Interrupted before a checkpoint was written.") from None
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
