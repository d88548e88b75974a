"""How long `mail --help` takes, as a ratio to an empty Python, and how long TensorFlow would add.

Run: python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from measure import machine, record, table

REPEATS = 7


def seconds(code: str) -> float:
    """Median wall time of a Python process that runs the code."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure, print, record."""
    empty = seconds("pass")
    commands = {
        "python -c pass": "pass",
        "mail --help": "from mailcli.cli import main; main(['--help'], standalone_mode=False)",
        "mail train --help": "from mailcli.cli import main; main(['train', '--help'], standalone_mode=False)",
        "import tensorflow": "import tensorflow",
    }
    rows = [(name, f"{took:.3f}", f"{took / empty:.1f}") for name, code in commands.items() if (took := seconds(code))]
    head = ("command", "seconds", "x an empty Python")
    record("Start-up", f"{machine('click', 'keras')}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
