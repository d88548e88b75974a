"""Start-up time of commands: help and tables without TensorFlow, and training up to its first step.

Run: python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import machine, record, table

REPEATS = 7
RAW = Path(__file__).parent.parent / "data" / "raw" / "ml-100k"
RUN = "from mailcli.cli import main; main({!r}, standalone_mode=False)"
#: `mail train`, stopped after its first step.
FIRST_STEP = """
import sys
from mailcli.cli import main
from mailcli.utils.tensorflow_startup import load_tensorflow
load_tensorflow()
from mailcli.training import loop
make_step = loop.make_step
def once(*arguments):
    step = make_step(*arguments)
    def first(batch):
        print(float(step(batch)["L_rt"]))
        sys.exit(0)
    first.variables = step.variables
    return first
loop.make_step = once
main({!r}, standalone_mode=False)
"""


def seconds(code: str, repeats: int = REPEATS) -> float:
    """Median wall time of a Python process that runs the code."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as folder:
        here = ["--data-dir", folder]
        subprocess.run(
            [sys.executable, "-c", RUN.format(["preprocess", "ml-100k", "--raw", str(RAW), *here])], check=True
        )
        train = ["train", "--cold-start", "mail", "--runs", f"{folder}/runs", *here]
        commands = {
            "python -c pass": ("pass", REPEATS),
            "mail --help": (RUN.format(["--help"]), REPEATS),
            "mail train --help": (RUN.format(["train", "--help"]), REPEATS),
            "mail describe, MovieLens-100K": (RUN.format(["describe", *here]), REPEATS),
            "import tensorflow": ("import tensorflow", REPEATS),
            "mail train, MAIL-Base on MovieLens-100K, to the first step": (FIRST_STEP.format(train), 3),
        }
        times = {name: seconds(code, repeats) for name, (code, repeats) in commands.items()}
    empty = times["python -c pass"]
    rows = [(name, f"{duration:.3f}", f"{duration / empty:.1f}") for name, duration in times.items()]
    head = ("command", "seconds", "x an empty Python")
    record("Start-up", f"{machine('click', 'keras', 'tensorflow')}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
