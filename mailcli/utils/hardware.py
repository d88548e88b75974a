"""The machine's properties on which speed and the last bits of a result depend."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

#: The variable of the environment that sets how many threads a TensorFlow operation may use.
INTRAOP_THREADS = "TF_NUM_INTRAOP_THREADS"
#: More threads than any machine has (ours): the system may refuse to start so many.
MOST_THREADS = 1024
#: Linux's names of the bfloat16 instructions: Intel and AMD, Intel's matrix unit, ARM.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
#: The instructions by which oneDNN chooses its kernels.
KERNEL_FLAGS = {"sse4_1", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "sve", *BFLOAT16_FLAGS}


@cache
def _instructions() -> frozenset[str]:
    """The processor's KERNEL_FLAGS; empty where the system does not list them (only Linux does)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    flags = [line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return frozenset(flags[0]) & KERNEL_FLAGS if flags else frozenset()


def has_graphics_card() -> bool:
    """Whether NVIDIA's driver is loaded."""
    return Path("/proc/driver/nvidia").exists()


def has_bfloat16() -> bool:
    """Whether bfloat16 matrix products are fast on this machine; graphics cards are assumed to support them."""
    return has_graphics_card() or bool(_instructions() & BFLOAT16_FLAGS)


def usable_cores() -> int:
    """The cores that the process may use (known on Linux), or all: TensorFlow's default number of threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """TensorFlow's number of threads: the requested one; as in TensorFlow, all usable cores if it is 0 or no number."""
    requested = os.environ.get(INTRAOP_THREADS, "")
    return (int(requested) if requested.isdecimal() else 0) or usable_cores()


def threads_fault() -> str:
    """Why TensorFlow would abort at its start: the environment asks for a negative number of threads; empty if not."""
    requested = os.environ.get(INTRAOP_THREADS, "")
    if not requested.startswith("-"):
        return ""
    return f"{INTRAOP_THREADS} is {requested}. Expected a number of threads, or 0 for one per core."


def memory_bytes() -> int | None:
    """The machine's memory; None where the system does not report it."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def limit_threads(count: int) -> None:
    """Set TensorFlow's number of threads; call it before TensorFlow is imported."""
    for name in (INTRAOP_THREADS, "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(count)


def describe() -> dict[str, Any]:
    """The machine's entries of environment.json."""
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": threads(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "instructions": sorted(_instructions()),
    }
