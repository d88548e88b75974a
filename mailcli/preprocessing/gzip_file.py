"""Compressed raw files."""

from __future__ import annotations

from pathlib import Path


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix == ".gz"
