"""One file per raw format; each turns its files into the same four tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from mailcli.data.schema import Schema
from mailcli.preprocessing.csv_file import RawFile
from mailcli.preprocessing.engines._base import DataEngine, DataFrame

#: The tables of a dataset, in the order in which they are read.
TABLES = ("users", "items", "impressions", "behaviors")


class RawData(ABC):
    """The four tables of a dataset, read from its raw files.

    A subclass is the class `Source` of its module. Its constructor takes the folder of the raw files and a folder for
    intermediate files, and checks all that is cheap: that the files are there and their headers are right.

    Besides its own columns each table has two that tell of rows that cannot be used: `fault`, a number that the table's
    file explains or null, and `line`, the text of a faulty row.
    """

    name: str
    """The default name of the dataset."""
    schema: Schema
    files: tuple[Path, ...]
    """The raw files, recorded in the dataset with size and SHA-256."""
    simulation: dict[str, Any] | None = None
    """The simulator's settings where the files are simulated: every table then says so."""
    official: ClassVar[Mapping[str, int]] = {}
    """Rows (`users.rows`) and distinct values (`items.brand`) of the published files."""
    csv: Mapping[str, RawFile] = MappingProxyType({})
    """The checked file behind each table; empty where a source checks its files by itself."""
    shown_first: bool = False
    """Whether users or items are made of the impressions: what is wrong with these has to be told before."""
    mapping: Mapping[str, Any] = MappingProxyType({})
    """What the dataset keeps of a schema file; empty for a form that needs none."""

    @abstractmethod
    def __init__(self, raw: Path, work: Path) -> None:
        """Find and check the raw files (MailError)."""

    @abstractmethod
    def users(self, engine: DataEngine) -> DataFrame:
        """`user` and one column per attribute; a user that impressions have and this lacks has unknown attributes."""

    @abstractmethod
    def items(self, engine: DataEngine) -> DataFrame:
        """`item`, one column per target field (lists for multi-valued ones) and the dense features."""

    @abstractmethod
    def impressions(self, engine: DataEngine) -> DataFrame:
        """`user, item, time`, one column per context field and label (0/1), `split` (an index into SPLITS)."""

    @abstractmethod
    def behaviors(self, engine: DataEngine) -> DataFrame:
        """`user, time, action` (an index into schema.actions), one column per behavior field."""
