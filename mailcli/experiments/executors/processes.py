"""Several runs at once, each in a process of its own with its share of the cores.

Small batches do not fill many cores: two runs with one thread each are quicker than one after the other with two.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.cells import Folders, ensure
from mailcli.utils import process_progress
from mailcli.utils.hardware import limit_threads, memory_bytes, threads
from mailcli.utils.log import LOGGER, log_to_stderr
from mailcli.utils.signals import sigterm_as_interrupt
from mailcli.utils.tensorflow_startup import load_tensorflow

#: Seconds between two looks of a worker at whether its parent is still there (ours).
ORPHAN_SECONDS = 1.0


class Task(NamedTuple):
    """A run that is to be made."""

    config: RunConfig
    dataset: Path
    folders: Folders
    minutes: float | None


def at_once(runs: int, memory: int, asked: int | None) -> tuple[int, int]:
    """How many runs at once, and the threads of each.

    Args:
        runs: how many there are.
        memory: bytes that one takes.
        asked: how many the user wants; None for as many as cores and memory allow.

    Raises:
        MailError: fewer than one is asked for.
    """
    cores = threads()
    if asked is not None and asked < 1:
        raise MailError(f"--jobs is {asked}. Expected 1 or more.")
    jobs = min(asked or min(cores, max((memory_bytes() or memory) // memory, 1)), runs)
    return jobs, max(1, cores // jobs)


def train_all(tasks: Sequence[Task], jobs: int, threads_each: int) -> None:
    """Make the runs, by seed and row; a two-stage method waits for its baseline.

    Args:
        tasks: what is missing.
        jobs: how many at once; one is made in this process.
        threads_each: of each, where there are several.

    Raises:
        MailError: a run cannot be made; or one has failed, and all others are finished.
        Interrupted: by Ctrl-C, when all have written their checkpoints.
    """
    if jobs == 1:
        _check(tasks)
        for task in tasks:
            _train(task)
    else:
        _Pool(jobs, threads_each).run(tasks)


def _check(tasks: Sequence[Task]) -> list[bool]:
    """Make each model once, so that what cannot be made is told before hours of training; whether each is two-stage."""
    load_tensorflow()
    from mailcli.models.factory import is_two_stage
    from mailcli.training.train import prepare

    cells = {repr(replace(task.config, seed=0)): task for task in reversed(tasks)}
    for task in reversed(cells.values()):
        prepare(task.config, Dataset(task.dataset))
    return [is_two_stage(task.config) for task in tasks]


def _train(task: Task) -> None:
    ensure(task.config, Dataset(task.dataset), task.folders, task.minutes)


class _Pool:
    """Worker processes. They do not see the terminal's Ctrl-C: this process does, and tells them once each."""

    def __init__(self, jobs: int, threads_each: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._reports: Any = context.Queue()
        self._stopping: Any = context.Event()
        initial = (threads_each, os.getpid(), self._reports, self._stopping, LOGGER.level)
        self._executor = ProcessPoolExecutor(jobs, context, _begin_worker, initial)
        self._jobs = jobs
        self._running: dict[Future[None], Task] = {}
        self._failures: list[str] = []

    def run(self, tasks: Sequence[Task]) -> None:
        """Make all runs."""
        with process_progress.show_worker_progress(self._reports, len(tasks)) as advance, sigterm_as_interrupt():
            try:
                two_stage = self._executor.submit(_guarded, _check, tasks).result()
                waiting = list(zip(tasks, two_stage, strict=True))
                while waiting or self._running:
                    waiting = self._start(waiting)
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._finished(future)
                        advance()
            except KeyboardInterrupt:
                self._stop()
            except BrokenExecutor as error:
                raise MailError(
                    "A training process was ended from outside, perhaps for want of memory. What is done is kept, and "
                    "the same command goes on; with --jobs 1 it needs less memory."
                ) from error
            finally:
                self._executor.shutdown(cancel_futures=True)
        if self._failures:
            raise MailError(" ".join([f"{len(self._failures)} of {len(tasks)} runs failed.", *self._failures]))

    def _start(self, waiting: list[tuple[Task, bool]]) -> list[tuple[Task, bool]]:
        """Give the idle workers what can begin; what is left."""
        left: list[tuple[Task, bool]] = []
        for task, two_stage in waiting:
            # Its baseline is made by a run of its own: until that has ended, this one cannot begin.
            baseline = repr(task.config.baseline())
            ahead = [*self._running.values(), *(other for other, _ in left)]
            blocked = two_stage and any(repr(other.config) == baseline for other in ahead)
            if blocked or len(self._running) >= self._jobs:
                left.append((task, two_stage))
            else:
                self._running[self._executor.submit(_guarded, _train, task)] = task
        return left

    def _finished(self, future: Future[None]) -> None:
        task = self._running.pop(future)
        error = future.exception()
        if isinstance(error, MailError):
            self._failures.append(f"{task.config.cell}, seed {task.config.seed}: {error.message}")
        elif error is not None:
            raise error

    def _stop(self) -> None:
        """Let the workers write their checkpoints; a second Ctrl-C stops them at once."""
        self._stopping.set()
        for _ in range(2):
            for worker in multiprocessing.active_children():
                assert worker.pid
                os.kill(worker.pid, signal.SIGINT)
            try:
                wait(self._running)
                break
            except KeyboardInterrupt:
                continue
        told = [error.message for future in self._running if isinstance(error := future.exception(), Interrupted)]
        raise Interrupted("\n".join([*told, "Interrupted. The same command goes on."]))


#: In a worker: whether the parent wants it to stop.
_stopping: Any = None


def _begin_worker(threads_each: int, parent: int, reports: Any, stopping: Any, log_level: int) -> None:
    """Before a worker's first task: its threads, its signals, where its messages and its progress go."""
    global _stopping
    _stopping = stopping
    limit_threads(threads_each)
    log_to_stderr(log_level)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        # Out of the terminal's group, so that Ctrl-C reaches the parent alone.
        os.setpgrp()
    process_progress.send_progress_to(reports)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """Stop as by Ctrl-C when the parent is gone: nobody would hear of the result."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)


def _guarded(work: Any, argument: Any) -> Any:
    """A task in a worker: Ctrl-C is heard during it and at no other time."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if _stopping.is_set():
            raise KeyboardInterrupt
        return work(argument)
    except KeyboardInterrupt:
        # Before the first step, or for the second time.
        raise Interrupted("Interrupted before a checkpoint was written.") from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
