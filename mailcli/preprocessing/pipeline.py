"""Raw files -> dataset: checks before, folders around, the record after; extract.py and transform.py do the work."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import REJECTED, SUMMARY, Dataset
from mailcli.data.manifest import LONGEST_HISTORY
from mailcli.data.writer import DatasetWriter, check_target
from mailcli.errors import MailError
from mailcli.preprocessing.csv_file import damaged
from mailcli.preprocessing.engines._base import MEMORY_LIMIT, DataEngine, parse_size
from mailcli.preprocessing.extract import Staging
from mailcli.preprocessing.rejects import MAX_BAD_ROWS, Rejects
from mailcli.preprocessing.sources._base import RawData
from mailcli.preprocessing.summary import summary
from mailcli.preprocessing.transform import Build

#: Bytes that are read at a time (ours).
READ_BYTES = 1 << 22


@dataclass(frozen=True)
class Options:
    """How a dataset is made."""

    history: int = RunConfig.history
    """n_v, the most behaviors an impression can see."""
    sample: float = 1.0
    """Share of the users that are kept, by a hash of their id: a smaller share is part of a larger one."""
    drop_duplicates: bool = False
    """Whether of behaviors that are alike in all columns one alone is kept."""
    max_bad_rows: float = MAX_BAD_ROWS
    """Largest share of a file's rows that may be set aside as unusable."""
    expect_official: bool = False
    """Whether rows and distinct values must be those of the published files."""
    engine: str = "duckdb"
    """A file of mailcli/engines."""
    spark_master: str | None = None
    """URL of a Spark cluster; None for this machine."""
    memory_limit: str = MEMORY_LIMIT
    """What the engine may use, e.g. "2GB"; a bucket's 600 MB come on top."""
    threads: int | None = None
    """How many the engine uses; None for all cores."""
    temp_dir: Path | None = None
    """Folder for intermediate files; None for the data folder's own disk."""
    schema: Path | None = None
    """The schema file of the source `tabular`; None for the others."""

    def check(self) -> None:
        """Raises MailError for what cannot be."""
        if not 1 <= self.history <= LONGEST_HISTORY:
            raise MailError(f"--history is {self.history}. Expected 1 to {LONGEST_HISTORY}.")
        if not 0 < self.sample <= 1:
            raise MailError(f"--sample is {self.sample:g}. Expected a share of the users, above 0 and up to 1 or 100%.")
        if not 0 <= self.max_bad_rows <= 1:
            raise MailError(f"--max-bad-rows is {self.max_bad_rows:g}. Expected a share of the rows, 0 to 1 or 100%.")
        if self.threads is not None and self.threads < 1:
            raise MailError(f"--threads is {self.threads}. Expected 1 or more.")
        if self.temp_dir is not None and not self.temp_dir.is_dir():
            raise MailError(f"--temp-dir {self.temp_dir}: is not a folder. Make it first.")


DEFAULTS = Options()


def preprocess(source: str, raw: Path, data_dir: Path, name: str | None, options: Options = DEFAULTS) -> Dataset:
    """Make the dataset `data_dir/name` from raw files.

    Args:
        source: name of the raw format, a file of mailcli/sources.
        raw: folder of the raw files.
        data_dir: folder of the datasets.
        name: name of the dataset; None for the source's own.
        options: how.

    Raises:
        MailError: the raw data or an option is not usable, or the target folder is not ours.
    """
    reader = plugins.load(plugins.SOURCES, source)
    engine_class = plugins.load(plugins.ENGINES, options.engine)
    name = reader.name if name is None else name
    target = check_target(data_dir, name)
    options.check()
    if options.schema and options.engine != "duckdb":
        raise MailError(
            f"--engine {options.engine}: a schema file's tables are read by DuckDB alone. Leave out --engine."
        )
    memory = parse_size(options.memory_limit)
    with DatasetWriter(target, options.temp_dir) as writer:
        raw_data: RawData = reader(raw, writer.stages.temp, *([options.schema] if options.schema else []))
        if options.expect_official and not raw_data.official:
            raise MailError(f"--expect-official: nothing is known of the published files of '{source}'.")
        before = _stamps(raw_data.files, raw)
        job = {"source": source, "engine": options.engine, "--sample": options.sample, **before}
        writer.stages.begin(job | ({"the schema file": dict(raw_data.mapping)} if raw_data.mapping else {}))
        with (
            engine_class(writer.stages.temp / "spill", memory, options.threads, options.spark_master) as engine,
            _fingerprints(raw_data.files, raw) as prints,
        ):
            found = _make(raw_data, engine, writer, name, options)
            files = prints.result()
        changed = [file for file, stamp in _stamps(raw_data.files, raw).items() if stamp != before[file]]
        if changed:
            raise MailError(f"{raw / changed[0]}: has changed while it was read. Start again when it is whole.")
        writer.finish(
            {
                "name": name,
                "source": source,
                "simulation": raw_data.simulation,
                "history": options.history,
                "sample": options.sample,
                "duplicates": "dropped" if options.drop_duplicates else "kept",
                **found,
                **({"mapping": dict(raw_data.mapping)} if raw_data.mapping else {}),
                "schema": raw_data.schema.to_json(),
                "files": files,
            }
        )
    return Dataset(target)


def _make(source: RawData, engine: DataEngine, writer: DatasetWriter, name: str, options: Options) -> dict[str, Any]:
    """All columns, summary.md and rejected/; what they give for dataset.json."""
    rejects = Rejects(source, options.max_bad_rows)
    staged = Staging(source, engine, writer.stages, rejects, options.sample, options.expect_official).run()
    found = Build(source.schema, engine, writer, options.history, options.drop_duplicates).run(staged)
    title = (
        f"{name} ({'simulated' if source.simulation else 'real data'}), n_v {options.history}, "
        f"{options.sample * 100:g}% of the users, duplicates {'dropped' if options.drop_duplicates else 'kept'}"
    )
    text = summary(title, source, staged, rejects, found["counts"])
    (writer.folder / SUMMARY).write_text(text, encoding="utf-8")
    rejects.write(writer.folder / REJECTED)
    return found


def _stamps(files: tuple[Path, ...], raw: Path) -> dict[str, list[int]]:
    """Size and time of change of each file: what tells whether it is the same."""
    return {_name(path, raw): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def _name(path: Path, raw: Path) -> str:
    """A file's name from the folder of the raw files on."""
    return str(path.relative_to(raw)) if path.is_relative_to(raw) else str(path)


@contextmanager
def _fingerprints(files: tuple[Path, ...], raw: Path) -> Iterator[Future[list[dict[str, Any]]]]:
    """Size and SHA-256 of the files, found in a thread that ends with the block."""
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(lambda: [_fingerprint(path, raw, stop) for path in files])
        finally:
            stop.set()


def _fingerprint(path: Path, raw: Path, stop: Event) -> dict[str, Any]:
    """One file's; a .gz is unpacked to its end, because DuckDB takes one that was cut off for a shorter one."""
    digest = hashlib.sha256()
    for chunk in _chunks(path, open, stop):
        digest.update(chunk)
    if path.suffix == ".gz":
        try:
            for _ in _chunks(path, gzip.open, stop):
                pass
        except (EOFError, zlib.error, OSError) as error:
            raise damaged(path, error) from error
    return {"file": _name(path, raw), "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _chunks(path: Path, opener: Callable[[Path, str], Any], stop: Event) -> Iterator[bytes]:
    with opener(path, "rb") as file:
        while not stop.is_set() and (chunk := file.read(READ_BYTES)):
            yield chunk
