"""What a result depends on besides its config: versions and machine."""

from __future__ import annotations

import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import tensorflow as tf

from mailcli import __version__
from mailcli.models import distribute
from mailcli.utils import hardware


def environment(seconds: float) -> dict[str, Any]:
    """The contents of environment.json: versions and machine, and how many seconds the run took."""
    return {
        "mail": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("keras", "numpy", "pandas", "scipy")},
        "tensorflow": tf.__version__,
        **hardware.describe(),
        "workers": distribute.worker_count(),
        "replicas": distribute.replica_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "seconds": round(seconds, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _commit() -> str | None:
    """The commit of the code, if it is a Git checkout and git is installed."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None
