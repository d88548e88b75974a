"""Simulated raw files in Alimama's format, from the world of world.py.

Users come in chunks. Besides one of them, memory holds the ids of all users, all ads, and six numbers per impression of
the test day, kept for the ceilings.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mailcli.errors import MailError, did_you_mean
from mailcli.preprocessing.duckdb_errors import memory_or_disk_error
from mailcli.preprocessing.duckdb_sql import literal, pattern_of
from mailcli.preprocessing.simulated_marker import MARKER, write_marker
from mailcli.simulation.alimama_tables import TableChunk, draw_ads, draw_chunks
from mailcli.simulation.ceilings import Ceilings, CeilingScores
from mailcli.simulation.world import IMPRESSIONS_PER_USER, Settings, World
from mailcli.utils.files import existing_parent, make_folder_atomically
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.parsing import read_json
from mailcli.utils.progress import progress
from mailcli.utils.sizes import size_text

#: The only source that can be simulated.
SOURCE = "alimama"
#: Bytes of one row in the files, for the check of free disk space (ours).
BEHAVIOR_BYTES, IMPRESSION_BYTES = 34, 100
_UNQUOTED = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")


class Summary(NamedTuple):
    """What was written, and the best that any model can reach on the test day."""

    impressions: int
    behaviors: int
    ctr: float
    ceilings: Ceilings


def check_source(name: str) -> None:
    """Refuse a source that cannot be simulated (MailError)."""
    if name != SOURCE:
        raise MailError(f"unknown source '{name}'.{did_you_mean(name, [SOURCE])} Known: '{SOURCE}'.")


def simulate_alimama(settings: Settings, out: Path) -> Summary:
    """Write raw_sample, ad_feature, user_profile and behavior_log.csv with SIMULATED.json into a folder.

    Raises:
        MailError: the folder holds anything but simulated files, another process writes it, or the disk is too small.
    """
    out = Path(os.path.abspath(out))
    with FolderLock(out, f"{out}: another `mail simulate` is writing this folder. Wait for it."):
        _check_folder(settings, out)
        with make_folder_atomically(out, replace=True, sync=False) as partial:
            return _write(settings, partial)


def _check_folder(settings: Settings, out: Path) -> None:
    if out.is_symlink():
        raise MailError(f"{out}: is a link. Name the folder itself, or choose another with --out.")
    if out.exists() and not out.is_dir():
        raise MailError(f"{out}: is not a folder. Choose another with --out.")
    if not _may_replace(out):
        raise MailError(
            f"{out}: is not empty and was not written by `mail simulate`. Choose another folder with --out."
        )
    need = settings.users * (settings.behaviors_per_user * BEHAVIOR_BYTES + IMPRESSIONS_PER_USER * IMPRESSION_BYTES)
    free = shutil.disk_usage(existing_parent(out)).free
    if need > free:
        raise MailError(
            f"{out}: the files need about {size_text(round(need))}, {size_text(free)} are free. "
            "Simulate fewer users or behaviors, or use a folder on another disk."
        )


def _may_replace(out: Path) -> bool:
    """Whether the folder is missing, empty, or holds only what the simulator wrote."""
    if not out.exists():
        return True
    names = {path.name for path in out.iterdir()}
    if not names:
        return True
    if not (out / MARKER).is_file():
        return False
    try:
        sizes = read_json(out / MARKER)["files"]
        return names == {MARKER, *sizes} and all((out / name).stat().st_size == size for name, size in sizes.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _write(settings: Settings, folder: Path) -> Summary:
    """Write all files into an empty folder."""
    world = World(settings)
    files = [folder / f"{stem}.csv" for stem in ("raw_sample", "ad_feature", "user_profile", "behavior_log")]
    pyarrow.csv.write_csv(draw_ads(world), files[1], _UNQUOTED)
    scores = CeilingScores(world)
    impressions = behaviors = clicks = 0
    with (
        tempfile.TemporaryDirectory(dir=folder) as temp,
        progress("simulating", settings.users, "users") as advance,
    ):
        unsorted = Path(temp) / "impressions.parquet"
        with _ChunkWriter(files[2], files[3], unsorted) as writer:
            for chunk in draw_chunks(world):
                writer.write(chunk)
                scores.add(chunk.test_day)
                impressions += len(chunk.impressions)
                clicks += pc.sum(chunk.impressions["clk"]).as_py()
                behaviors += len(chunk.behaviors)
                advance(chunk.users)
        _sort_by_ad(unsorted, files[0])
    summary = Summary(impressions, behaviors, clicks / impressions, scores.measure())
    numbers = {"impressions": impressions, "behaviors": behaviors, "ctr": summary.ctr}
    numbers |= {f"ceiling_{name}": value for name, value in summary.ceilings._asdict().items() if math.isfinite(value)}
    write_marker(folder, files, {**asdict(settings), **numbers})
    return summary


class _ChunkWriter:
    """Appends chunks to the files of profiles and behaviors, and to a Parquet file of impressions."""

    def __init__(self, profiles: Path, behaviors: Path, impressions: Path) -> None:
        self._paths = (profiles, behaviors, impressions)
        self._writers: list[Any] = []

    def __enter__(self) -> _ChunkWriter:
        return self

    def write(self, chunk: TableChunk) -> None:
        """Append a chunk's rows to each file."""
        tables = (chunk.profiles, chunk.behaviors, chunk.impressions)
        if not self._writers:
            self._writers = [
                pyarrow.csv.CSVWriter(self._paths[0], tables[0].schema, write_options=_UNQUOTED),
                pyarrow.csv.CSVWriter(self._paths[1], tables[1].schema, write_options=_UNQUOTED),
                pq.ParquetWriter(self._paths[2], tables[2].schema),
            ]
        for writer, table in zip(self._writers, tables, strict=True):
            writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()


def _sort_by_ad(unsorted: Path, target: Path) -> None:
    """Write the impressions sorted by ad, as the published file is; DuckDB sorts on disk if memory is short."""
    source = literal(pattern_of(unsorted))
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SET temp_directory = {literal(unsorted.parent / 'spill')}")
            connection.execute(
                f"COPY (SELECT * FROM read_parquet({source}) "
                f"ORDER BY adgroup_id, time_stamp, \"user\", clk, pid) TO {literal(target)} (HEADER, DELIMITER ',')"
            )
    except duckdb.Error as error:
        resource_error = memory_or_disk_error(error, "Close other programs and run the same command again.")
        if resource_error is None:
            raise
        raise resource_error from error
