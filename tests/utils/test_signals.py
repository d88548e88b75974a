"""Ctrl-C kept waiting while processes start."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailcli.utils.signals import STOP_SIGNALS, interrupts_blocked, stop_signals_as_interrupt


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


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_stop_signals_are_like_ctrl_c(number: signal.Signals) -> None:
    before = {stop: signal.getsignal(stop) for stop in STOP_SIGNALS}
    with pytest.raises(KeyboardInterrupt), stop_signals_as_interrupt():
        signal.raise_signal(number)
    assert {stop: signal.getsignal(stop) for stop in STOP_SIGNALS} == before


def test_a_process_that_ignores_sighup_goes_on_doing_so() -> None:
    """`nohup mail run ...` outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals_as_interrupt():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_ends_a_command_as_ctrl_c_does(tmp_path: Path) -> None:
    """Outside of training, too: in one line, with the exit code of Ctrl-C, and without partial files."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mailcli", "simulate", "alimama", "--users", "100000", "--out", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(tmp_path.glob(".partial-*")):
        time.sleep(0.05)
    process.terminate()
    _, stderr = process.communicate()
    assert (process.returncode, stderr.splitlines()[-1]) == (130, "Interrupted.")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_the_program_is_imported() -> None:
    code = (
        "import sys\nfrom mailcli.__main__ import run\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'mailcli.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\nrun()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")
