"""Where impressions come from: named columns, read some rows at a time; a file and a DataFrame are such sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pyarrow as pa

from mailcli.errors import MailError, did_you_mean, quoted, repeated
from mailcli.serving.faults import Faults, printable
from mailcli.serving.value_checks import RequiredColumn, is_convertible

#: What other programs write instead of a comma.
_SEPARATORS = (";", "\t", "|")


class ImpressionSource:
    """Impressions with named columns.

    Args:
        label: names the source in messages.
        schema: names and types of the columns.

    Raises:
        MailError: a name occurs twice.
    """

    noun: ClassVar[str]
    """What the source is, for messages."""

    def __init__(self, label: str, schema: pa.Schema) -> None:
        self.label, self.schema = label, schema
        self.columns: list[str] = schema.names
        check_distinct(label, self.columns)

    def require(self, required: list[RequiredColumn]) -> None:
        """Refuse a source that lacks columns or has some of an unsuitable type (MailError names them all)."""
        missing = [column.name for column in required if column.name not in self.columns]
        if missing:
            raise MailError(f"{self.label}: {self._describe_missing(missing, required)}")
        faults = [
            f"'{column.name}' holds {kind}, expected {column.expected_type}"
            for column in required
            if not is_convertible(kind := self.schema.field(column.name).type, column)
        ]
        if faults:
            raise MailError(f"{self.label}: {'; '.join(faults)}.")

    def _describe_missing(self, missing: list[str], required: list[RequiredColumn]) -> str:
        expected = [column.name for column in required]
        separator = next((mark for mark in _SEPARATORS if self.columns and mark in self.columns[0]), None)
        if len(self.columns) == 1 and separator:
            return f"the header is {self.columns[0]!r}. Expected ',' between the names and values, not {separator!r}."
        others = [name for name in self.columns if name.isprintable() and name not in expected]
        hints = "".join(dict.fromkeys(did_you_mean(name, others) for name in missing))
        columns = ", ".join(map(printable, self.columns))
        return (
            f"no column {quoted(missing)}.{hints} The {self.noun}'s columns are: {columns}. Expected: "
            f"{', '.join(expected)}."
        )

    def read(self, rows: int, faults: Faults) -> Iterator[pa.RecordBatch]:
        """The impressions in batches of at most so many rows; malformed rows are skipped and added to `faults`."""
        raise NotImplementedError


def check_distinct(label: str, names: Sequence[str]) -> None:
    """Refuse a name that occurs twice (MailError)."""
    twice = sorted(repeated(names))
    if twice:
        raise MailError(
            f"{label}: more than one column is named {quoted(map(printable, twice))}. Expected each name once."
        )
