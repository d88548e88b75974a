"""Where a path leads."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The absolute path without links; as `Path.resolve`, which raises RuntimeError where links lead in a circle."""
    return Path(os.path.realpath(path))


def named(path: Path) -> Path:
    """The path, or where it leads to if its last part is no name: `.` or `..`."""
    return real_path(path) if path.name in {"", ".."} else path
