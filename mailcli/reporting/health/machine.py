"""Processor, memory and disk."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from mailcli.reporting.health.finding import Finding
from mailcli.utils import hardware
from mailcli.utils.files import existing_parent
from mailcli.utils.sizes import size_text

#: Less free space than this is reported (ours: the checkpoints of a run with 10 million embeddings need more).
_LEAST_FREE = 10**9


def machine() -> list[Finding]:
    """Cores, memory, and what speeds up matrix products."""
    topic, memory = "machine", hardware.memory_bytes()
    cores = f"{hardware.usable_cores()} of {os.cpu_count() or 1} usable, {hardware.threads()} threads"
    bfloat16 = "fast" if hardware.has_bfloat16() else "slow: this processor has no instructions for it"
    return [
        Finding(topic, "processor", platform.machine()),
        Finding(topic, "cores", cores, hardware.threads_fault()),
        Finding(topic, "memory", size_text(memory) if memory else "not reported by this system"),
        Finding(topic, "bfloat16", bfloat16),
        Finding(topic, "graphics card", "NVIDIA's driver is loaded" if hardware.has_graphics_card() else "none"),
    ]


def disk(folder: Path) -> Finding:
    """The free space for a folder that need not exist."""
    existing = existing_parent(folder)
    free = shutil.disk_usage(existing).free
    fault = ""
    if not existing.is_dir():
        fault = f"is not a folder. Move {existing} away, or name another folder"
    elif not os.access(existing, os.W_OK):
        fault = f"cannot be written. Change the permissions of {existing}, or name another folder"
    elif free < _LEAST_FREE:
        fault = f"only {size_text(free)} are free. Free some space, or name a folder on another disk"
    return Finding("disk", str(folder), f"{size_text(free)} free", fault)
