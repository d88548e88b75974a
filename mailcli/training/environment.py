"""What a result depends on besides its config: versions and machine."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mailcli import __version__
from mailcli.utils import hardware

#: The form of times, in UTC.
TIME = "%Y-%m-%dT%H:%M:%SZ"
#: Libraries on whose version the numbers of a run depend.
LIBRARIES = ("keras", "numpy", "pandas", "scipy", "scikit-learn", "tensorflow")


def environment(seconds: float, devices: Mapping[str, int], cost: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The contents of environment.json: versions and machine, how many seconds the run took, and its `cost`.

    Args:
        seconds: of the whole run, in this process.
        devices: the numbers of workers, replicas and GPUs that made it.
        cost: the number of `parameters`, `training_seconds`, and `scoring_microseconds` per impression.
    """
    return {
        "mail": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
        **hardware.describe(),
        **devices,
        "seconds": round(seconds, 1),
        "finished": time.strftime(TIME, time.gmtime()),
        **({"cost": dict(cost)} if cost else {}),
    }


def _commit() -> str | None:
    """The commit of the code, if git is installed and a checkout has this file; installed elsewhere, it has none."""
    file = Path(__file__)
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
