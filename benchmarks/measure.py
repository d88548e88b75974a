"""Time and peak memory of a process, and the sections of RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = """# Benchmarks

Written by `make bench`, except for four sections: `make bench-peers` writes *Peers*, `python benchmarks/effects.py`
writes *Effect of faster training on AUC*, `python benchmarks/soak.py` writes *Soak*, and `python
benchmarks/full_size.py` writes *Full size*.
"""


class Cost(NamedTuple):
    """Time and memory of a process."""

    seconds: float
    megabytes: float
    """Largest resident set, pages of mapped files included."""


def cost(*arguments: object) -> Cost:
    """Run a Python process; its output goes to stderr (RuntimeError if it fails)."""
    start = time.perf_counter()
    command = [sys.executable, *map(str, arguments)]
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}")
    # Kilobytes on Linux, bytes on macOS.
    return Cost(time.perf_counter() - start, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def median_seconds(call: Callable[[int], object], repeats: int) -> float:
    """Median wall time, after three warm-up calls."""
    times = []
    for repeat in range(repeats + 3):
        start = time.perf_counter()
        call(repeat)
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def peak_megabytes() -> float:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def private_megabytes(process: int | str = "self") -> float:
    """Memory of a process now, without the pages of libraries and mapped files (Linux); 0 for one that has ended."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(dict(line.split(":", 1) for line in status.splitlines()).get("RssAnon", "0").split()[0]) / 2**10


def machine(*packages: str) -> str:
    """The machine and the package versions of a measurement."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}, {versions}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def record(section: str, text: str) -> None:
    """Print a section, and append it to RESULTS.md; an older one with the same name is removed."""
    document = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    older = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    document = f"{older.sub('', document).rstrip()}\n\n## {section}\n\n{text.strip()}"
    RESULTS.write_text(document + "\n", encoding="utf-8")
    print(text)
