"""Worker processes that end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable

from mailcli.errors import Interrupted


def end_with_parent(stop: Callable[[], object] | None = None) -> None:
    """From now on, wait in a thread until the parent has ended, for example by a kill; then end this worker.

    It has to be ended: the pool's queues never report that the parent is gone, so it would wait for tasks forever.

    Args:
        stop: called before, to finish what the worker is doing.
    """

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent, "it runs in a worker"
        parent.join()
        if stop:
            stop()
        os._exit(Interrupted.exit_code)

    threading.Thread(target=wait, daemon=True).start()
