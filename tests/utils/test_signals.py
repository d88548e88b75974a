"""Ctrl-C kept waiting while processes start."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from mailcli.utils.signals import interrupts_blocked


def test_a_process_that_is_starting_is_not_interrupted() -> None:
    """Ctrl-C reaches it before it has a handler; it goes on, and later ones do nothing either."""
    code = (
        "import os, signal, time\ntime.sleep(0.5)\n"
        "from mailcli.utils.signals import ignore_interrupts\nignore_interrupts()\n"
        "os.kill(os.getpid(), signal.SIGINT)\nprint('alive')"
    )
    with interrupts_blocked():
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("alive\n", "")
    assert process.returncode == 0


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    events = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (where it is raised is what is tested)
        with interrupts_blocked():
            signal.raise_signal(signal.SIGINT)
            events.append("within the block")
        events.append("behind the block")
    assert events == ["within the block"]
