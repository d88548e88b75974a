"""Compressed raw files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

#: What reading a damaged .gz raises.
GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix == ".gz"
