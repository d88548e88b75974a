"""One file per raw format; each turns its files into the same four tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailcli.engines import DataFrame
from mailcli.errors import MailError
from mailcli.schema import Schema


class RawData(ABC):
    """The four tables of a dataset, read from its raw files.

    A subclass is the class `Source` of its module. Its constructor takes the folder of the raw files and a folder for
    intermediate files, and checks all that is cheap: that the files are there and their headers are right.
    """

    name: str
    """The default name of the store."""
    schema: Schema
    files: tuple[Path, ...]
    """The raw files, recorded in the store with size and SHA-256."""
    simulation: dict[str, Any] | None = None
    """The simulator's settings where the files are simulated: every table then says so."""

    @abstractmethod
    def __init__(self, raw: Path, work: Path) -> None:
        """Find and check the raw files (MailError)."""

    @abstractmethod
    def users(self, engine: Any) -> pa.Table:
        """`user` and one column per attribute; a user that impressions have and this lacks has unknown attributes."""

    @abstractmethod
    def items(self, engine: Any) -> pa.Table:
        """`item`, one column per target field (lists for multi-valued ones) and the dense features."""

    @abstractmethod
    def behaviors(self, engine: Any) -> DataFrame:
        """`user, time, action` (an index into schema.actions), one column per behaviour field, `bad`."""

    @abstractmethod
    def impressions(self, engine: Any) -> DataFrame:
        """`user, item, time`, one column per context field, `click` (0/1), `split` (an index into SPLITS), `bad`."""

    def bad_row(self, table: str) -> MailError:
        """The error that names the first bad row of `behaviors` or `impressions`."""
        raise NotImplementedError(f"{self.name} marks no row of {table} as bad")
