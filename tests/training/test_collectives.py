"""What the workers of a training exchange."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux resets the peak of memory")
def test_the_chiefs_weights_are_sent_without_a_second_table() -> None:
    """A table of 128 MB; the second worker sends only zeros and takes what it receives."""
    code = """
import re, sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from mailcli.models import distribute
from mailcli.training import collectives

table = keras.Variable(np.ones([1_000_000, 32], np.float32))
others = [keras.Variable(np.arange(7)), keras.Variable(3.0), keras.Variable(np.ones([3, 1], bool), dtype="bool")]

def peak(place):
    Path("/proc/self/clear_refs").write_text("5")
    status = lambda key: int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    before = status("VmRSS")
    team = distribute.ReplicaGroup(tf.distribute.MirroredStrategy(["CPU:0"]), place, 2)
    with distribute.use_replicas(team):
        collectives.broadcast([table, *others])
    return status("VmHWM") - before

def total(variable):
    return float(np.asarray(variable).sum())

peak(0)
print(peak(0), total(table), *map(total, others), peak(1), total(table), *map(total, others))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    chief, *unchanged, worker, table, numbers, scalar, flags = map(float, done.stdout.split())
    assert (unchanged, [table, numbers, scalar, flags]) == ([32_000_000, 21, 3, 3], [0, 0, 0, 0])
    # Messages have 8 MB; without them it would take five more tables.
    assert chief < 100
    assert worker < 100 + 128
