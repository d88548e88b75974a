"""One file per raw format; each turns its files into the same four tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from mailcli.data.derivations import DAY, DAYS_PER_WEEK, HOUR, Derivations
from mailcli.data.schema import Field, Group, Schema
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.raw_file import RawFile

#: The files that are joined to the impressions, as a table.
JOIN = "join"
#: The tables of a dataset, in the order in which they are read.
TABLES = ("users", "items", "impressions", "behaviors")


class RawData(ABC):
    """The four tables of a dataset, read from its raw files.

    A subclass is the class `Source` of its module. Its constructor takes the folder of the raw files and a folder for
    intermediate files, and checks all that is cheap: that the files exist and their headers are right.

    Besides its own columns, each table has two for rows that cannot be used: `fault`, a number that the table's file
    explains, or null; and `line`, the text of a faulty row.
    """

    name: str
    """The default name of the dataset."""
    schema: Schema
    files: tuple[Path, ...]
    """The raw files, recorded in the dataset with size and SHA-256."""
    simulation: dict[str, Any] | None = None
    """The simulator's settings if the files are simulated; every table of results then says so."""
    options: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """The source's own options (`label`, `test`) with their values, the default first; arguments of the constructor."""
    only_duckdb: ClassVar[bool] = False
    """Whether the engine `duckdb` is the only one that reads it."""
    official: Mapping[str, int] = MappingProxyType({})
    """Rows (`users.rows`) and distinct values (`items.brand`) of the published files."""
    raw_files: Mapping[str, RawFile] = MappingProxyType({})
    """The checked file behind each table; empty if a source checks its files by itself."""
    derived: frozenset[str] = frozenset()
    """The tables that are made from the impressions, so that their rows are not those of their files."""
    impressions_first: bool = False
    """Whether users or items are made from the impressions, whose faults must then be reported first."""
    mapping: Mapping[str, Any] = MappingProxyType({})
    """What the dataset keeps of a schema file; empty for a source without one."""
    derivations: Derivations = MappingProxyType({})
    """How values of fields are made from raw ones, complete when the tables have been read; for serving."""

    @abstractmethod
    def __init__(self, raw: Path, work: Path) -> None:
        """Find and check the raw files (MailError)."""

    @abstractmethod
    def users(self, engine: DataEngine) -> DataFrame:
        """`user` and one column per attribute; a user who is only in the impressions has unknown attributes."""

    @abstractmethod
    def items(self, engine: DataEngine) -> DataFrame:
        """`item`, one column per target field (lists for multi-valued ones) and the dense features."""

    @abstractmethod
    def impressions(self, engine: DataEngine) -> DataFrame:
        """`user, item, time`, one column per context field and label (0/1), `split` (an index into SPLITS)."""

    @abstractmethod
    def behaviors(self, engine: DataEngine) -> DataFrame:
        """`user, time, action` (an index into schema.actions), one column per behavior field."""

    def clock_columns(self, engine: DataEngine, time: str) -> list[Any]:
        """Hour and weekday of each row, as `derivations` say, for the `impressions` of a source that has them.

        Args:
            engine: reads the rows.
            time: the column with the time in seconds since 1970.
        """
        F = engine.functions
        columns = []
        for name, derivation in self.derivations["context"].items():
            local = F.col(time) - F.lit(derivation.origin)
            values = {"hour": F.floor(local % DAY / HOUR), "weekday": F.floor(local / DAY) % DAYS_PER_WEEK}
            columns.append(values[derivation.clock].cast("int").alias(name))
        return columns

    def texts_of(self, engine: DataEngine, table: str, field: str, whole: bool) -> tuple[str, ...]:
        """Up to two different texts of the files from which a field's values are made; none if they are its values.

        Args:
            engine: reads the files.
            table: one of TABLES.
            field: a field of that table.
            whole: whether to return the whole text of its column instead of what is extracted from it.
        """
        del engine, table, field, whole
        return ()

    def joined(self, engine: DataEngine) -> DataFrame | None:
        """`fault` and `line` of the rows of files that are joined to the impressions; None if there are none."""
        del engine
        return None

    def path_of(self, table: str) -> Path:
        """The file behind a table, for error texts."""
        return self.raw_files[table].path if self.raw_files else self.files[0]


def fields(group: Group, *names: str) -> tuple[Field, ...]:
    """Single-valued fields of one group, each with the vocabulary of its own name."""
    return tuple(Field(name, group, name) for name in names)
