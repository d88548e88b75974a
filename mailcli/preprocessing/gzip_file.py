"""Compressed raw files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

#: What reading a damaged .gz raises.
GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)
#: The first two bytes of a .gz (RFC 1952).
GZIP_START = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix == ".gz"
