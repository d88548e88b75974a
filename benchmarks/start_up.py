"""How long `mail --help` takes, as a ratio to an empty Python, and how long TensorFlow would add.

Run: make bench
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

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
    """Print a line per command."""
    empty = seconds("pass")
    commands = {
        "python -c pass": "pass",
        "mail --help": "from mailcli.cli import main; main(['--help'], standalone_mode=False)",
        "mail train --help": "from mailcli.cli import main; main(['train', '--help'], standalone_mode=False)",
        "import tensorflow": "import tensorflow",
    }
    for name, code in commands.items():
        took = seconds(code)
        print(f"{name:20} {took:6.3f} s  {took / empty:6.1f} x an empty Python")


if __name__ == "__main__":
    main()
