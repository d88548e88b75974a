"""What preprocessing needs of the file behind a table, whatever its form: rows that cannot be used, explained."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mailcli.errors import MAX_QUOTED, MailError
from mailcli.preprocessing.engines._base import BrokenLine, DataEngine
from mailcli.preprocessing.row_count import RowFormat

#: Characters kept of a line that cannot be used: as many as DuckDB keeps.
KEPT_CHARACTERS = 10_000


class RawFile(Protocol):
    """The file behind a table; its rows come from the source."""

    @property
    def path(self) -> Path:
        """The file, or the first of several."""
        ...

    def expected(self, fault: int) -> str:
        """What rows with a fault should have held, in a few words."""
        ...

    def explain(self, fault: int, line: str) -> str:
        """What is wrong with a row: what was found, and what was expected."""
        ...

    def broken(self, lines: Sequence[BrokenLine]) -> pa.Table:
        """`fault` and `line` of lines that the engine could not split."""
        ...

    @property
    def key(self) -> str:
        """The table of a schema file that says how the file is written; empty for a source without one."""
        ...

    @property
    def row_formats(self) -> Mapping[Path, RowFormat | None]:
        """How the rows of each file are written; None for Parquet."""
        ...

    def check_sample(self, engine: DataEngine, folder: Path) -> None:
        """Refuse a file none of whose rows seems usable, before anything slow (MailError).

        Args:
            engine: reads the sample.
            folder: for intermediate files.
        """
        ...

    def check_whole(self) -> None:
        """Read a .gz to its end (MailError)."""
        ...

    def first_of(self, lines: Collection[str]) -> tuple[str, str] | None:
        """Place and text of the first line that is among `lines`; None if it is not found."""
        ...


def locate_first(file: RawFile, lines: Collection[str]) -> tuple[str, str]:
    """Where the first of some lines of a table is, as an error begins, and its text."""
    place, line = file.first_of(lines) or ("", next(iter(lines)))
    if place:
        return place, line
    others = " or another file of this table" if len(file.row_formats) > 1 else ""
    return f"{file.path}{others}: the row {line[:MAX_QUOTED]!r}", line


def relative_name(path: Path, raw: Path) -> str:
    """A file's name relative to the folder of the raw files; its path if it is elsewhere."""
    return str(path.relative_to(raw)) if path.is_relative_to(raw) else str(path)


def damaged(path: Path, error: Exception) -> MailError:
    """The error for a file that cannot be read to its end."""
    return MailError(f"{path}: is cut off or damaged ({error}). Get the file again.")
