"""Ctrl-C, SIGTERM and SIGHUP, postponed to a moment at which a run can stop safely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Ctrl-C, what a preempted machine sends, and what a closed terminal sends (not on Windows).
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class PostponedInterrupt:
    """Whether a stop was requested."""

    requested = False


@contextmanager
def postpone_interrupts() -> Iterator[PostponedInterrupt]:
    """Only note the first stop signal; a second one stops the process at once, as usual.

    Only the main thread can have signal handlers; in other threads nothing is postponed.
    """
    interrupt = PostponedInterrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if hasattr(signal, "SIGHUP") and handlers[signal.SIGHUP] is signal.SIG_IGN:
        # `nohup` has started this process so that it outlives its terminal.
        del handlers[signal.SIGHUP]

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        interrupt.requested = True
        restore()

    for number in handlers:
        signal.signal(number, note)
    try:
        yield interrupt
    finally:
        restore()


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C pending within the block.

    Processes that start in it inherit this, until they call `ignore_interrupts`.

    Otherwise one that is interrupted while it imports its modules would end with a traceback. (Not on Windows.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C from now on, including one that is pending; only the main thread can have signal handlers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


@contextmanager
def stop_signals_ignored() -> Iterator[None]:
    """Ignore STOP_SIGNALS within the block, which must be short; only the main thread can have signal handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def stop_signals_as_interrupt() -> Iterator[None]:
    """Treat the other STOP_SIGNALS as Ctrl-C within the block; only the main thread can have signal handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # `nohup` has started a process that ignores SIGHUP so that it outlives its terminal.
    handled = [number for number in STOP_SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    for number in handled:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
