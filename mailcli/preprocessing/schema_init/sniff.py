"""Samples a raw file: format, header line, and a profile of each column."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mailcli.errors import MailError
from mailcli.preprocessing.duckdb_sql import literal, pattern_of
from mailcli.preprocessing.gzip_file import GZIP_ERRORS
from mailcli.preprocessing.schema_file.folders import example_pattern
from mailcli.preprocessing.schema_file.parquet import is_parquet
from mailcli.preprocessing.schema_file.text_file import repeated_name
from mailcli.preprocessing.schema_init.duckdb_command import copy_command, uncompressed
from mailcli.preprocessing.schema_init.file_sample import FileSample
from mailcli.preprocessing.schema_init.sniff_parquet import sample_parquet
from mailcli.preprocessing.schema_init.sniff_text import sample_text

#: Names of JSON files end in these, also before `.gz`.
_JSON = (".json", ".jsonl", ".ndjson")
#: Bytes that are examined to recognize others (ours).
_BEGINNING = 100


def sample_file(path: Path) -> FileSample:
    """The first rows of a file.

    Raises:
        MailError: it cannot be read, is not a table, has no rows, or has two columns of the same name.
    """
    if path.is_dir():
        raise MailError(f"{path}: is a folder. Expected its files, such as {example_pattern(path, str(path))}.")
    if not path.is_file():
        raise MailError(f"{path}: is not a file. Expected CSV, other separated text, or Parquet.")
    if _is_json(path):
        command = copy_command(
            f"FROM read_json({literal(pattern_of(path))})", uncompressed(path).with_suffix(".parquet")
        )
        raise MailError(
            f"{path}: is JSON. Expected CSV, other separated text, or Parquet; this command writes it: {command}"
        )
    if is_parquet(path):
        sample = sample_parquet(path)
    else:
        try:
            sample = sample_text(path)
        except (OSError, *GZIP_ERRORS, csv.Error) as error:
            raise MailError(
                f"{path}: cannot be read ({error}). Expected a readable text file, plain or .gz."
            ) from error
    name = repeated_name(sample.names)
    if name is not None:
        raise MailError(f"{path}: has more than one column '{name}'. Expected distinct names: rename one in the file.")
    return sample


def _is_json(path: Path) -> bool:
    """Whether a file is JSON, or JSON lines, by its name or its first two characters."""
    if uncompressed(path).suffix in _JSON:
        return True
    with open(path, "rb") as file:
        return bool(re.match(rb'\s*(\{\s*"|\[\s*\{)', file.read(_BEGINNING)))
