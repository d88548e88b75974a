"""Two stop signals in quick succession, while the workers start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailcli.utils.signals import stop_signals_ignored
from tests.helpers.experiments import write_experiment

EXPERIMENT = """
title = "Tiny"
source = "alimama"
seeds = 1
rows = ["BaseDNN", "base+dropout"]
settings = {epochs = 1, history = 5}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "gap"), [(signal.SIGINT, 0.05), (signal.SIGTERM, 0.2)])
def test_the_command_ends(data_dir: Path, tmp_path: Path, number: signal.Signals, gap: float) -> None:
    """It used to wait for its workers forever, or to end in a traceback."""
    experiment = write_experiment(tmp_path, EXPERIMENT)
    options = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(tmp_path / "runs"), "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mailcli", "run", str(experiment), *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    first_line = ""
    while "2 at once" not in first_line:
        first_line = process.stderr.readline()
        assert first_line
    try:
        for _ in range(2):
            process.send_signal(number)
            time.sleep(gap)
        _, messages = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    # The second one may come when the command has ended, and only Python has not.
    assert process.returncode in {130, -number}
    assert "Traceback" not in messages


def test_signals_within_the_block_do_nothing() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_signals_ignored():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
