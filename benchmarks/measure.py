"""Seconds and peak memory of a process, and the sections of RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = """# Benchmarks

Made by `make bench`, but for two sections: `python benchmarks/effects.py` makes *Effect of the quicker ways on AUC*,
and `python benchmarks/soak.py` makes *Soak*.
"""


class Cost(NamedTuple):
    """What a process took."""

    seconds: float
    megabytes: float
    """Largest resident set: what was in memory at once, pages of mapped files included."""


def cost(*arguments: object) -> Cost:
    """Run a Python process to its end; its output goes to stderr. Raises RuntimeError if it fails."""
    start = time.perf_counter()
    command = [sys.executable, *map(str, arguments)]
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    # Kilobytes on Linux, bytes on macOS.
    return Cost(time.perf_counter() - start, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def peak_megabytes() -> float:
    """Largest resident set of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def private_megabytes() -> float:
    """What this process has in memory now of its own: without the pages of libraries and mapped files (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(dict(line.split(":", 1) for line in status.splitlines())["RssAnon"].split()[0]) / 2**10


def machine(*packages: str) -> str:
    """What the numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}, {versions}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def record(section: str, text: str) -> None:
    """Put a section at the end of RESULTS.md, in place of an older one of that name, and print it."""
    whole = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    older = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    whole = f"{older.sub('', whole).rstrip()}\n\n## {section}\n\n{text.strip()}"
    RESULTS.write_text(whole + "\n", encoding="utf-8")
    print(text)
