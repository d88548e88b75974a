"""Where a path leads."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The absolute path without links; as `Path.resolve`, which raises RuntimeError where links lead in a circle."""
    return Path(os.path.realpath(path))
