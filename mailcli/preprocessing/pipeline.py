"""Raw files -> dataset: checks, folders and dataset.json; extract.py and transform.py do the rest."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import MANIFEST, REJECTED, SUMMARY, Dataset
from mailcli.data.derivations import derivations_to_json
from mailcli.data.manifest import DERIVATIONS, LONGEST_HISTORY
from mailcli.data.writer import DatasetWriter, check_target
from mailcli.errors import MailError
from mailcli.preprocessing.column_checks import check_columns
from mailcli.preprocessing.engines._base import MEMORY_LIMIT, DataEngine
from mailcli.preprocessing.extract import Extraction
from mailcli.preprocessing.extracted_tables import ExtractedTables
from mailcli.preprocessing.fingerprints import fingerprints, stamps
from mailcli.preprocessing.label_copies import describe_copy, label_copies
from mailcli.preprocessing.rejects import MAX_BAD_ROWS, Rejects
from mailcli.preprocessing.row_check import RowTally
from mailcli.preprocessing.source_options import chosen_options, default_name
from mailcli.preprocessing.sources._base import RawData
from mailcli.preprocessing.summary import summary
from mailcli.preprocessing.table_reader import TableReader
from mailcli.preprocessing.transform import Transform
from mailcli.utils.hardware import MOST_THREADS
from mailcli.utils.parsing import read_json
from mailcli.utils.sizes import parse_size

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessOptions:
    """How a dataset is made; the options of `mail preprocess`."""

    history: int = RunConfig.history
    """n_v, the most behaviors an impression can see."""
    sample: float = 1.0
    """Share of the users to keep, by a hash of their id: a smaller sample is part of a larger one."""
    drop_duplicates: bool = False
    """Whether behaviors that are equal in all columns are stored once."""
    max_bad_rows: float = MAX_BAD_ROWS
    """Largest share of a file's rows that may be set aside as unusable."""
    expect_official: bool = False
    """Whether rows and distinct values must be those of the published files."""
    engine: str = "duckdb"
    """A file of mailcli/preprocessing/engines."""
    spark_master: str | None = None
    """URL of a Spark cluster; None for this machine."""
    memory_limit: str = MEMORY_LIMIT
    """Memory of the engine, e.g. "2GB"; a bucket's 600 MB are extra."""
    threads: int | None = None
    """Threads of the engine; None for all cores."""
    temp_dir: Path | None = None
    """Folder for intermediate files; None for the data folder."""
    schema: Path | None = None
    """The schema file of the source `tabular`; None for the others."""
    label: str | None = None
    """Which label is the click, of a source with several; None for its default."""
    test: str | None = None
    """Which log is the test split, of a source with several; None for its default."""

    def check(self) -> None:
        """Raise MailError for an impossible value."""
        if not 1 <= self.history <= LONGEST_HISTORY:
            raise MailError(f"--history is {self.history}. Expected 1 to {LONGEST_HISTORY}.")
        if not 0 < self.sample <= 1:
            raise MailError(f"--sample is {self.sample:g}. Expected a share of the users, above 0 and up to 1 or 100%.")
        if not 0 <= self.max_bad_rows <= 1:
            raise MailError(f"--max-bad-rows is {self.max_bad_rows:g}. Expected a share of the rows, 0 to 1 or 100%.")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise MailError(f"--threads is {self.threads}. Expected 1 to {MOST_THREADS}.")
        if self.temp_dir is not None and not self.temp_dir.is_dir():
            raise MailError(f"--temp-dir {self.temp_dir}: is not a folder. Create it first.")


DEFAULTS = PreprocessOptions()


def preprocess(
    source: str, raw: Path, data_dir: Path, name: str | None, options: PreprocessOptions = DEFAULTS
) -> Dataset:
    """Make the dataset `data_dir/name` from raw files.

    Args:
        source: name of the raw format, a file of mailcli/preprocessing/sources.
        raw: folder of the raw files.
        data_dir: folder of the datasets.
        name: name of the dataset; None for the source's own.
        options: how to make it.

    Raises:
        MailError: the raw data or an option is not usable, or the target folder holds something else.
    """
    source_class = plugins.load(plugins.SOURCES, source)
    engine_class = plugins.load(plugins.ENGINES, options.engine)
    chosen = chosen_options(source_class, source, {"label": options.label, "test": options.test})
    name = default_name(source_class, chosen) if name is None else name
    target = check_target(data_dir, name)
    options.check()
    _check_source(source_class, source, raw, options)
    _warn_of_replacement(target, {"source": source, **_recorded_options(options)})
    memory = parse_size(options.memory_limit, "--memory-limit")
    with DatasetWriter(target, options.temp_dir) as writer:
        arguments = {**chosen, **({"schema": options.schema} if options.schema else {})}
        raw_data: RawData = source_class(raw, writer.stages.temp, **arguments)
        if options.expect_official and not raw_data.official:
            raise MailError(f"--expect-official: the published files of '{source}' are not known. Leave it out.")
        before = stamps(raw_data.files, raw)
        writer.stages.begin(_stage_key(source, options, chosen, raw_data, before))
        rejects, row_tally = Rejects(raw_data, options.max_bad_rows), RowTally(raw_data)
        with (
            engine_class(writer.stages.temp / "spill", memory, options.threads, options.spark_master) as engine,
            fingerprints(raw_data.files, raw, row_tally.feed) as future,
        ):
            extracted = _extract(TableReader(raw_data, engine, writer.stages, rejects), options, row_tally, future)
            files = future.result()
            _check_unchanged(raw_data, raw, before)
            row_tally.compare(rejects.rows)
            contents, notes = _write_columns(
                raw_data, engine, writer, name, options, extracted, rejects, row_tally.notes()
            )
        _check_unchanged(raw_data, raw, before)
        writer.finish({"name": name, "source": source, **_record(raw_data, options, contents), "files": files})
    for note in notes:
        logger.warning(f"Note: {note}.")
    return Dataset(target)


def _stage_key(
    source: str, options: PreprocessOptions, chosen: Mapping[str, str], raw_data: RawData, before: Mapping[str, Any]
) -> dict[str, Any]:
    """All that the intermediate stages depend on, by names that a user understands."""
    own_options = {f"--{option}": value for option, value in chosen.items()}
    key = {"source": source, "engine": options.engine, "--sample": options.sample, **own_options, **before}
    mapping_name = "the schema file" if options.schema else "the source's schema"
    return key | ({mapping_name: dict(raw_data.mapping)} if raw_data.mapping else {})


def _check_source(source_class: Any, source: str, raw: Path, options: PreprocessOptions) -> None:
    """Refuse a path that the source does not read, or an engine that cannot read the source (MailError)."""
    if raw.is_file() and not options.schema:
        raise MailError(f"{raw}: is a file. Expected the folder of the raw files.")
    if source_class.only_duckdb and options.engine != "duckdb":
        what = "files with a schema file" if options.schema else f"the files of '{source}'"
        raise MailError(f"--engine {options.engine}: {what} are read only by DuckDB. Leave out --engine.")


def _extract(
    reader: TableReader, options: PreprocessOptions, row_tally: RowTally, fingerprinted: Future[Any]
) -> ExtractedTables:
    """Steps 1 and 2; if they fail, rows that a stray quote swallowed are reported first (MailError)."""
    try:
        return Extraction(reader, options.sample, options.expect_official).run()
    except MailError:
        if row_tally.has_quotes and fingerprinted.exception() is None:
            row_tally.check_quotes()
        raise


def _recorded_options(options: PreprocessOptions) -> dict[str, Any]:
    """The options that dataset.json holds, as it holds them."""
    return {
        "history": options.history,
        "sample": options.sample,
        "duplicates": "dropped" if options.drop_duplicates else "kept",
    }


def _warn_of_replacement(target: Path, record: Mapping[str, Any]) -> None:
    """Say before the work if a dataset that was made in another way is to be replaced; until the end it stays."""
    if not (target / MANIFEST).is_file():
        return
    manifest = read_json(target / MANIFEST)
    differ = [f"{key}: {manifest.get(key)} -> {value}" for key, value in record.items() if manifest.get(key) != value]
    if differ:
        logger.warning(
            f"{target}: will be replaced at the end by another dataset ({'; '.join(differ)}); what was trained on it "
            "can then not be scored any more. To keep it, press Ctrl-C and give the new one another --name."
        )


def _record(source: RawData, options: PreprocessOptions, contents: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of dataset.json on source, options and contents, in a fixed order: runs record the file's hash."""
    return {
        "simulation": source.simulation,
        **_recorded_options(options),
        **contents,
        **({"mapping": dict(source.mapping)} if source.mapping else {}),
        "schema": source.schema.to_json(),
        DERIVATIONS: derivations_to_json(source.derivations),
    }


def _check_unchanged(source: RawData, raw: Path, before: Mapping[str, list[int]]) -> None:
    """Refuse raw files that have changed since the start (MailError)."""
    changed = [file for file, stamp in stamps(source.files, raw).items() if stamp != before[file]]
    if changed:
        raise MailError(f"{raw / changed[0]}: changed while it was being read. Start again when it is complete.")


def _write_columns(
    source: RawData,
    engine: DataEngine,
    writer: DatasetWriter,
    name: str,
    options: PreprocessOptions,
    extracted: ExtractedTables,
    rejects: Rejects,
    notes: list[str],
) -> tuple[dict[str, Any], list[str]]:
    """Write all columns, summary.md and rejected/; returns what they add to dataset.json, and all notes."""
    transform = Transform(source.schema, engine, writer, options.history, options.drop_duplicates)
    contents = transform.run(extracted)
    check_columns(source, engine, transform.seen, transform.vocabularies)
    title = (
        f"{name} ({'simulated' if source.simulation else 'real data'}), n_v {options.history}, "
        f"{options.sample * 100:g}% of the users, duplicates {'dropped' if options.drop_duplicates else 'kept'}"
    )
    notes = notes + [describe_copy(field, value) for field, value in label_copies(source.schema, writer.read).items()]
    text = summary(title, source, extracted, rejects, contents["counts"], notes)
    (writer.folder / SUMMARY).write_text(text, encoding="utf-8")
    rejects.write(writer.folder / REJECTED)
    return contents, notes
