"""Raw files -> store: the checks before, the folders around, the record after; build.py has the steps."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.build import Build
from mailcli.config import RunConfig
from mailcli.engines import MEMORY_LIMIT, DuckDBEngine
from mailcli.errors import MailError
from mailcli.sources import RawData
from mailcli.store import Store, StoreWriter, check_target

#: More than any log has in 22 days (ours).
LONGEST_HISTORY = 100_000
#: Bytes that are unpacked at a time (ours).
READ_BYTES = 1 << 22


def preprocess(
    source: str,
    raw: Path,
    data_dir: Path,
    name: str | None,
    history: int = RunConfig.history,
    memory_limit: str = MEMORY_LIMIT,
    threads: int | None = None,
    temp_dir: Path | None = None,
) -> Store:
    """Make the store `data_dir/name` from raw files.

    Args:
        source: name of the raw format, a file of mailcli/sources.
        raw: folder of the raw files.
        data_dir: folder of the stores.
        name: name of the store; None for the source's own.
        history: n_v, the most behaviours an impression can see.
        memory_limit: what the engine may use, e.g. "2GB"; a bucket's 300 MB come on top.
        threads: how many the engine uses; None for all cores.
        temp_dir: folder for intermediate files; None for the data folder's own disk.

    Raises:
        MailError: the raw data is not usable, or the target folder is not ours.
    """
    reader = plugins.load(plugins.SOURCES, source)
    name = name or reader.name
    target = check_target(data_dir, name)
    if not 1 <= history <= LONGEST_HISTORY:
        raise MailError(f"--history is {history}. Expected 1 to {LONGEST_HISTORY}.")
    if threads is not None and threads < 1:
        raise MailError(f"--threads is {threads}. Expected 1 or more.")
    if temp_dir is not None and not temp_dir.is_dir():
        raise MailError(f"--temp-dir {temp_dir}: is not a folder. Make it first.")
    with (
        StoreWriter(target, temp_dir) as writer,
        DuckDBEngine(writer.work / "spill", memory_limit, threads) as engine,
        ThreadPoolExecutor(1) as pool,
    ):
        raw_data: RawData = reader(raw, writer.work)
        files = pool.submit(_fingerprints, raw_data.files)
        found = Build(raw_data, engine, writer, history).run()
        writer.finish(
            {
                "name": name,
                "source": source,
                "simulation": raw_data.simulation,
                "history": history,
                **found,
                "schema": raw_data.schema.to_json(),
                "files": files.result(),
            }
        )
    return Store(target)


def _fingerprints(files: tuple[Path, ...]) -> list[dict[str, Any]]:
    prints = []
    for path in files:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if path.suffix == ".gz":
            _check_gzip(path)
        prints.append({"file": path.name, "bytes": path.stat().st_size, "sha256": digest})
    return prints


def _check_gzip(path: Path) -> None:
    """Read to the end: DuckDB takes a file that was cut off for a shorter one (MailError)."""
    try:
        with gzip.open(path, "rb") as file:
            while file.read(READ_BYTES):
                pass
    except (EOFError, zlib.error, OSError) as error:
        raise MailError(f"{path}: is cut off or damaged ({error}). Get the file again.") from error
