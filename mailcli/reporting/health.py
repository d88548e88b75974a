"""`mail doctor`: versions, machine and disk, and what is broken about them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from mailcli import __version__
from mailcli.utils import hardware
from mailcli.utils.files import existing_parent
from mailcli.utils.installation import Package, installed_version, python_fault, required_packages
from mailcli.utils.sizes import size_text

#: The packages whose versions are always shown.
_SHOWN = ("tensorflow", "keras", "numpy", "pandas", "duckdb")
#: Packages that only some commands need.
_OPTIONAL = {"optuna": "mail tune", "pyspark": "--engine spark", "tensorboard": "--tensorboard", "mlflow": "--mlflow"}
#: Less free space than this is reported (ours: the checkpoints of a run with 10 million embeddings need more).
_LEAST_FREE = 10**9
#: The most seconds for importing TensorFlow (ours: it takes 3 to 10, and more from a slow network disk).
_IMPORT_SECONDS = 300


class Finding(NamedTuple):
    """One thing that was looked at."""

    topic: str
    """The heading in the table."""
    name: str
    state: str
    fault: str = ""
    """What is broken, and how to fix it; empty if nothing is."""


def software(thorough: bool) -> list[Finding]:
    """The versions of Python and packages.

    Args:
        thorough: whether to import TensorFlow as well, in a process of its own.
    """
    topic = "versions"
    findings = [
        Finding(topic, "mail", __version__),
        Finding(topic, "Python", f"{platform.python_version()} ({sys.executable})", python_fault()),
    ]
    packages = {package.name: package for package in required_packages()}
    for name in dict.fromkeys([*_SHOWN, *packages]):
        package = packages.get(name, Package(name, installed_version(name), ""))
        if name in _SHOWN or package.fault:
            findings.append(Finding(topic, name, package.version or "-", package.fault))
    for name, use in _OPTIONAL.items():
        findings.append(Finding(topic, name, installed_version(name) or f"not installed; only `{use}` needs it"))
    if thorough:
        fault = _tensorflow_fault()
        findings.append(Finding(topic, "import tensorflow", "fails" if fault else "works", fault))
    return findings


def _tensorflow_fault() -> str:
    """Why TensorFlow cannot be imported, or does not use the graphics card; empty if all is well."""
    command = [sys.executable, "-c", "import tensorflow; print(len(tensorflow.config.list_physical_devices('GPU')))"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"has not ended after {_IMPORT_SECONDS} s. Install the environment on a faster disk"
    if done.returncode == 0:
        if hardware.has_graphics_card() and done.stdout.split()[-1:] == ["0"]:
            return "does not find the graphics card. Install NVIDIA's libraries: pip install 'tensorflow[and-cuda]'"
        return ""
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"fails ({last}). Install it again: pip install --force-reinstall tensorflow"


def machine() -> list[Finding]:
    """Cores, memory, and what speeds up matrix products."""
    topic, memory = "machine", hardware.memory_bytes()
    cores = f"{hardware.usable_cores()} of {os.cpu_count() or 1} usable, {hardware.threads()} threads"
    bfloat16 = "fast" if hardware.has_bfloat16() else "slow: this processor has no instructions for it"
    return [
        Finding(topic, "processor", platform.machine()),
        Finding(topic, "cores", cores),
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
