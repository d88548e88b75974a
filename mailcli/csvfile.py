"""A raw CSV file: its header is checked before anything slow, its values are typed, a bad row is named."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from mailcli.engines import DataFrame
from mailcli.errors import MailError, choices, nearest

#: Characters of a value that an error shows (ours: the line stays one line).
SHOWN = 100
#: Prices and the like beyond this are no numbers but mistakes, infinity among them (ours).
LARGEST = 1e308


@dataclass(frozen=True)
class Column:
    """What one column must hold. Numbers are written plainly: `12`, not `12.0`, `1e1` or `012`."""

    name: str
    type: Literal["bigint", "double", "string"] = "bigint"
    optional: bool = False
    """Whether the field may be missing: empty, or `missing`."""
    missing: str = ""
    """A literal that stands for a missing value, e.g. `NULL`."""
    values: tuple[str, ...] = ()
    """The only texts allowed; empty: any."""
    at_least: int | None = None
    """Smallest whole number allowed."""
    below: int | None = None
    """The first whole number that is too large."""

    @property
    def expected(self) -> str:
        """What a value should be, for an error text."""
        if self.values:
            return f"one of {choices(self.values)}"
        kind = {"bigint": "a whole number", "double": "a number", "string": "a text"}[self.type]
        if self.at_least is not None and self.below is not None:
            kind += f" from {self.at_least} to {self.below - 1}"
        return f"{kind} or nothing" if self.optional else kind

    def fault(self, value: str) -> bool:
        """Whether a raw text is not allowed (the row-by-row twin of `CsvFile.frame`'s `bad`)."""
        if value in {"", self.missing}:
            return not self.optional
        if self.values:
            return value not in self.values
        try:
            if self.type == "bigint":
                return str(int(value)) != value or not self._in_range(int(value))
            return self.type == "double" and not abs(float(value)) < LARGEST
        except ValueError:
            return True

    def _in_range(self, number: int) -> bool:
        low = -(2**63) if self.at_least is None else self.at_least
        return low <= number < (2**63 if self.below is None else self.below)


class CsvFile:
    """One CSV file, plain or gzipped, with the columns that its reader needs.

    Raises:
        MailError: the file is missing, empty or not text, or its header lacks a column.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.header = self._read_header()
        needed = [column.name for column in columns]
        for column in columns:
            if self.header.count(column.name) != 1:
                found = "more than one" if column.name in self.header else "no"
                raise MailError(
                    f"{path}: {found} column '{column.name}'.{nearest(column.name, set(self.header) - set(needed))} "
                    f"The file's header is: {','.join(self.header)}. "
                    f"Expected: {','.join(needed)}."
                )

    def _open(self) -> io.TextIOBase:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")  # type: ignore[return-value]
        return open(self.path, encoding="utf-8-sig", newline="")

    def _read_header(self) -> list[str]:
        try:
            with self._open() as file:
                header = next(csv.reader([file.readline(1 << 16)]), [])
                first = file.readline(1 << 16)
        except (OSError, UnicodeError, EOFError, zlib.error, csv.Error) as error:
            raise MailError(f"{self.path}: cannot be read ({error}).") from error
        if not header:
            raise MailError(f"{self.path}: the file is empty. Expected a header line and rows.")
        if not first.strip():
            raise MailError(f"{self.path}: there is no row below the header.")
        # One published header ends in a space (user_profile.csv).
        return [name.strip() for name in header]

    def frame(self, engine: Any) -> DataFrame:
        """The needed columns, typed; `bad` is true in a row with a value that is not allowed."""
        F = engine.functions
        raw = engine.read_csv(self.path, len(self.header))
        selected, faults = [], []
        for column in self.columns:
            place = f"c{self.header.index(column.name)}"
            text = F.col(place)
            if column.missing:
                text = F.when(text != F.lit(column.missing), text)
            value = text
            if column.type != "string":
                value = F.expr(f"try_cast(`{place}` as {column.type})")
            faults.append(self._fault(F, column, text, value))
            selected.append(value.alias(column.name))
        return raw.select(*selected, reduce(lambda a, b: a | b, faults).alias("bad"))

    @staticmethod
    def _fault(F: Any, column: Column, text: Any, value: Any) -> Any:
        if column.values:
            wrong = ~text.isin(*column.values)
        elif column.type == "bigint":
            # The round trip through the number refuses "1.0", "1e3", " 1" and "01" on every engine alike.
            wrong = F.coalesce(value.cast("string") != text, F.lit(True))
            if column.at_least is not None:
                wrong = wrong | (value < F.lit(column.at_least))
            if column.below is not None:
                wrong = wrong | (value >= F.lit(column.below))
        elif column.type == "double":
            wrong = F.coalesce(~(F.abs(value) < F.lit(LARGEST)), F.lit(True))
        else:
            wrong = F.lit(False)
        return text.isNotNull() & wrong if column.optional else text.isNull() | wrong

    def bad_row(self) -> MailError:
        """The error that names the first bad row; call it once `bad` has been found to be true somewhere."""
        try:
            return self._bad_row()
        except (OSError, UnicodeError, EOFError, zlib.error, csv.Error) as error:
            return MailError(f"{self.path}: is cut off or damaged ({error}). Get the file again.")

    def _bad_row(self) -> MailError:
        with self._open() as file:
            # A row that long is shown as it is rather than refused by Python's own limit.
            csv.field_size_limit(1 << 30)
            reader = csv.reader(file)
            next(reader)
            for row in reader:
                values = dict(zip(self.header, row, strict=False))
                for column in self.columns:
                    value = values.get(column.name, "")
                    if column.fault(value):
                        return MailError(
                            f"{self.path}, line {reader.line_num}: column '{column.name}' holds "
                            f"{value[:SHOWN]!r}. Expected {column.expected}. Mend or remove the row."
                        )
        return MailError(f"{self.path}: a row has a value of the wrong type that no line could be found for.")
