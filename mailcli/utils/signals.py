"""Ctrl-C, and a machine that is taken away, put off until a moment that suits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What a pre-empted machine is told with besides Ctrl-C.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PostponedInterrupt:
    """Whether one was asked for."""

    asked = False


@contextmanager
def postpone_interrupts() -> Iterator[PostponedInterrupt]:
    """Note the first signal and go on; a second one stops at once, as it does without this.

    Only the main thread can have handlers; elsewhere nothing is put off.
    """
    found = PostponedInterrupt()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        found.asked = True
        restore()

    for each in SIGNALS:
        signal.signal(each, note)
    try:
        yield found
    finally:
        restore()


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM is taken for Ctrl-C meanwhile; in the main thread, which alone can have handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
