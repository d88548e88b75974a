"""What the machine can do, as far as speed and the last bits of a result depend on it."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

#: What Linux calls products of bfloat16 numbers: Intel and AMD, Intel's matrix unit, ARM.
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
#: The instructions whose presence decides which of its kernels oneDNN takes.
KERNELS = {"sse4_1", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "sve", *BFLOAT16}


@cache
def _instructions() -> frozenset[str]:
    """What the processor has of KERNELS; empty where the system does not tell (only Linux does)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    told = [line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return frozenset(told[0]) & KERNELS if told else frozenset()


def has_graphics_card() -> bool:
    """Whether NVIDIA's driver is loaded."""
    return Path("/proc/driver/nvidia").exists()


def has_bfloat16() -> bool:
    """Whether products of bfloat16 matrices are quick here; a graphics card is taken to have them."""
    return has_graphics_card() or bool(_instructions() & BFLOAT16)


def usable_cores() -> int:
    """The cores that the process may use (Linux tells), or all: as many threads as TensorFlow takes by itself."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many TensorFlow uses: as many as were asked for, or as there are cores."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS", usable_cores()))


def memory_bytes() -> int | None:
    """The machine's memory; None where the system does not tell."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def table_bytes(rows: int, dim: int) -> int:
    """Memory that a training needs for its table in float32 at its most.

    The table and Adam's two moments, and two copies while Keras writes or reads the weights of the best epoch; a
    checkpoint, and what the chief tells other workers, take less.
    """
    return (3 + 2) * 4 * rows * dim


def limit_threads(count: int) -> None:
    """Let TensorFlow use that many threads; it must not have been imported yet."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(count)


def describe() -> dict[str, Any]:
    """For environment.json."""
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": threads(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "instructions": sorted(_instructions()),
    }
