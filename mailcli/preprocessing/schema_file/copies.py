"""Copies as UTF-8 of text files in encodings that DuckDB does not read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from mailcli.preprocessing.gzip_file import GZIP_ERRORS
from mailcli.preprocessing.raw_file import damaged
from mailcli.preprocessing.schema_file.definition import COPIED_ENCODINGS
from mailcli.preprocessing.schema_file.locate import LocatedFiles
from mailcli.preprocessing.schema_file.text_file import open_text

#: Characters copied at a time (ours).
_CHARACTERS = 1 << 20
#: Bytes that are not text in the file's encoding, as Python decodes them, and one that is not text in UTF-8 either.
_NO_TEXT, _NO_UTF_8 = re.compile("[\udc80-\udcff]"), "\udcff"


def with_copies(files: LocatedFiles, folder: Path) -> LocatedFiles:
    """The files with copies in a folder, if DuckDB cannot read their encoding.

    Args:
        files: the files of a table.
        folder: for the copies; those of an earlier run are overwritten.

    Raises:
        MailError: a .gz is damaged.
    """
    if files.parquet or files.format.encoding not in COPIED_ENCODINGS:
        return files
    target = folder / "utf-8"
    target.mkdir(parents=True, exist_ok=True)
    copies = {path: target / f"{files.role}-{number}.txt" for number, path in enumerate(files.paths)}
    for path, copy in copies.items():
        try:
            _copy(path, copy, files.format.encoding)
        except GZIP_ERRORS as error:
            raise damaged(path, error) from error
    return replace(files, copies=copies)


def _copy(path: Path, copy: Path, encoding: str) -> None:
    """Copy a file as UTF-8; a byte that is not text stays one, so that its row is set aside."""
    with open_text(path, encoding, "surrogateescape") as source, open(copy, "wb") as target:
        while text := source.read(_CHARACTERS):
            target.write(_NO_TEXT.sub(_NO_UTF_8, text).encode("utf-8", "surrogateescape"))
