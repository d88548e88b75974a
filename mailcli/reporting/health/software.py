"""The versions of Python and packages."""

from __future__ import annotations

import platform
import subprocess
import sys

from mailcli import __version__
from mailcli.reporting.health.finding import Finding
from mailcli.utils import hardware
from mailcli.utils.installation import Package, installed_version, python_fault, required_packages

#: The packages whose versions are always shown.
_SHOWN = ("tensorflow", "keras", "numpy", "pandas", "duckdb")
#: Packages that only some commands need.
_OPTIONAL = {"optuna": "mail tune", "pyspark": "--engine spark", "tensorboard": "--tensorboard", "mlflow": "--mlflow"}
#: The most seconds for importing TensorFlow (ours: it takes 3 to 10, and more from a slow network disk).
_IMPORT_SECONDS = 300


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
