"""Size and SHA-256 of raw files, computed in a thread while the engine works; and whether files have changed.

The thread passes on what it reads, so that rows are counted without reading a file again.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from mailcli.preprocessing.gzip_file import GZIP_ERRORS, is_gzip
from mailcli.preprocessing.raw_file import damaged, relative_name

#: Bytes read at a time (ours).
READ_BYTES = 1 << 22


def stamps(files: tuple[Path, ...], raw: Path) -> dict[str, list[int]]:
    """Size and modification time of each file, which show whether it has changed."""
    return {relative_name(path, raw): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


@contextmanager
def fingerprints(
    files: tuple[Path, ...], raw: Path, feed: Callable[[Path, bytes], None]
) -> Iterator[Future[list[dict[str, Any]]]]:
    """Name, size and SHA-256 of each file, from a thread that ends with the block.

    Args:
        files: the raw files.
        raw: their folder; names are relative to it.
        feed: gets the content of each file piece by piece, decompressed, and an empty piece at its end.

    Raises:
        MailError: a .gz is damaged (raised by the future).
    """
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(lambda: [_fingerprint(path, raw, stop, feed) for path in files])
        finally:
            stop.set()


def _fingerprint(path: Path, raw: Path, stop: Event, feed: Callable[[Path, bytes], None]) -> dict[str, Any]:
    """Name, size and SHA-256 of a file; a .gz is read to its end: DuckDB takes a truncated one for a shorter file."""
    digest = hashlib.sha256()
    for chunk in _chunks(path, open, stop):
        digest.update(chunk)
        if not is_gzip(path):
            feed(path, chunk)
    if is_gzip(path):
        try:
            for chunk in _chunks(path, gzip.open, stop):
                feed(path, chunk)
        except (OSError, *GZIP_ERRORS) as error:
            raise damaged(path, error) from error
    feed(path, b"")
    return {"file": relative_name(path, raw), "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _chunks(path: Path, opener: Callable[[Path, str], Any], stop: Event) -> Iterator[bytes]:
    with opener(path, "rb") as file:
        while not stop.is_set() and (chunk := file.read(READ_BYTES)):
            yield chunk
