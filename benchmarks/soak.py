"""Half an hour of training on simulated data; memory, open files and threads are sampled every few seconds.

Run: python benchmarks/soak.py [--minutes 30]
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measure import machine, record, table
from scipy import stats

from mailcli.config import make_config
from mailcli.errors import Interrupted
from mailcli.experiments.cells import train_if_missing
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.utils.hardware import limit_threads

#: Seconds between two samples (ours).
EVERY = 5.0
#: The initial share of the time that is left out, in which one-time allocations happen (ours).
WARM = 0.2
#: Training that does not end by itself. Small networks on one thread, for many steps, epochs and checkpoints: a leak
#: grows with each of them.
SETTINGS = {
    "epochs": 100_000,
    "patience": 100_000,
    "batch_size": 256,
    "history": 20,
    "ranker.units": "64,32",
    "cold_start": "mail",
    "cold_start.encoder_units": "64,64,64",
    "cold_start.decoder_units": "64,64",
}
MINUTES_OF_CHECKPOINTS = 2.0


class Sample(NamedTuple):
    """Resources of the process at one time."""

    seconds: float
    megabytes: float
    files: int
    threads: int


def sample(start: float) -> Sample:
    """Resident memory, open files and threads of this process (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    files = len(list(Path("/proc/self/fd").iterdir()))
    return Sample(time.monotonic() - start, int(fields["VmRSS"].split()[0]) / 1024, files, int(fields["Threads"]))


def main(minutes: float) -> None:
    """Train, sample, record."""
    limit_threads(1)
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        simulate_alimama(Settings(users=2000, seed=0), folder / "raw")
        data = preprocess("alimama", folder / "raw", folder / "data", "soak", PreprocessOptions(history=20))
        start = time.monotonic()

        def watch() -> None:
            while time.monotonic() - start < 60 * minutes:
                time.sleep(EVERY)
                samples.append(sample(start))
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=watch, daemon=True).start()
        try:
            train_if_missing(make_config([{"data": "soak", **SETTINGS}]), data, folder / "runs", MINUTES_OF_CHECKPOINTS)
        except Interrupted:
            history = next((folder / "runs").rglob("history.jsonl")).read_text(encoding="utf-8").splitlines()
            epochs = sum("validation" in line for line in history)
            steps = len(history) - epochs
    record("Soak", _report(samples, minutes, steps, epochs))


def _report(samples: list[Sample], minutes: float, steps: int, epochs: int) -> str:
    warm = samples[int(WARM * len(samples)) :]
    hours = np.array([point.seconds for point in warm]) / 3600
    fit = stats.linregress(hours, [point.megabytes for point in warm])
    half = stats.t.ppf(0.975, len(warm) - 2) * fit.stderr
    rows = [
        (name, *(f"{getattr(point, field):,.0f}" for point in (warm[0], warm[len(warm) // 2], warm[-1])))
        for name, field in (("resident MB", "megabytes"), ("open files", "files"), ("threads", "threads"))
    ]
    return (
        f"{machine('tensorflow', 'keras')}\n\n"
        f"Small MAIL-Base on simulated data for {minutes:.0f} minutes: {steps:,} steps, {epochs} epochs, each with "
        f"validation and a checkpoint. After the first {WARM:.0%} of the time, memory changes by {fit.slope:+.1f} "
        f"±{half:.1f} MB per hour (least squares, {len(warm)} samples).\n\n"
        f"{table(('', 'after the warm-up', 'in the middle', 'at the end'), rows)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    main(parser.parse_args().minutes)
