"""A raw CSV file: its header is checked before anything slow, its values are typed, every faulty row says why."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

import pyarrow as pa

from mailcli.errors import MAX_QUOTED, MailError, did_you_mean, quoted
from mailcli.preprocessing.engines._base import DataEngine, DataFrame

#: Prices and the like beyond this are no numbers but mistakes, infinity among them (ours).
LARGEST = 1e308
#: Lines at the start of which one at least must have the header's number of fields (ours).
HEAD = 100
#: Bytes of a line that are looked at there (ours).
LONGEST = 1 << 16
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
#: What a decoder puts in the place of bytes that are no UTF-8.
_REPLACED = "\ufffd"


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
            return f"one of {quoted(self.values)}"
        kind = {"bigint": "a whole number", "double": "a number", "string": "a text in UTF-8"}[self.type]
        if self.at_least is not None and self.below is not None:
            kind += f" from {self.at_least} to {self.below - 1}"
        return f"{kind} or nothing" if self.optional else kind


class Rule(NamedTuple):
    """What the columns of a row must hold together."""

    columns: tuple[str, ...]
    expected: str
    """For an error text, e.g. `nonclk = 1 - clk`."""
    broken: Callable[[Any], Any]
    """From the engine's functions to the column that is true where the rule does not hold."""


class RawFile(Protocol):
    """What preprocessing asks of the file behind a table, besides its rows."""

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

    def broken(self, lines: Sequence[str]) -> pa.Table:
        """`fault` and `line` of lines that the engine could not split."""
        ...

    def scattered(self, folder: Path, count: int) -> CsvFile | None:
        """A file of rows from all over this one, for a look before anything slow; None where there is none."""
        ...

    def check_whole(self) -> None:
        """Read a .gz to its end (MailError)."""
        ...

    def first_of(self, lines: Collection[str]) -> tuple[str, str] | None:
        """Place and text of the first line that is among `lines`; None where it cannot be told."""
        ...


class CsvFile:
    """One CSV file, plain or gzipped, with the columns that its reader needs. Quotes have no meaning in it.

    Raises:
        MailError: the file is missing, empty or not text, its header lacks a column, or no row at its start has as many
            fields as the header.
    """

    def __init__(self, path: Path, columns: Sequence[Column], rules: Sequence[Rule] = ()) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.rules = tuple(rules)
        try:
            with self._open() as file:
                self.header = self._read_header(file)
                self._check_header()
                self._check_rows(file)
        except (OSError, EOFError, UnicodeError, zlib.error, csv.Error) as error:
            raise MailError(f"{path}: cannot be read ({error}).") from error

    def _open(self) -> BinaryIO:
        return gzip.open(self.path, "rb") if self.path.suffix == ".gz" else open(self.path, "rb")  # type: ignore[return-value]

    def _read_header(self, file: BinaryIO) -> list[str]:
        line = file.readline(LONGEST).decode("utf-8-sig")
        header = next(csv.reader([line]), [])
        if not header:
            raise MailError(f"{self.path}: the file is empty. Expected a header line and rows.")
        # One published header ends in a space (user_profile.csv).
        return [name.strip() for name in header]

    def _check_header(self) -> None:
        needed = [column.name for column in self.columns]
        for name in needed:
            if self.header.count(name) != 1:
                found = "more than one" if name in self.header else "no"
                raise MailError(
                    f"{self.path}: {found} column '{name}'.{did_you_mean(name, set(self.header) - set(needed))} "
                    f"The file's header is: {','.join(self.header)}. Expected: {','.join(needed)}."
                )

    def _check_rows(self, file: BinaryIO) -> None:
        """Another separator than the header's is told at once, not after hours."""
        lines = [line for line in (file.readline(LONGEST) for _ in range(HEAD)) if line.strip()]
        if not lines:
            raise MailError(f"{self.path}: there is no row below the header.")
        if all(line.count(b",") != len(self.header) - 1 for line in lines):
            text = lines[0].decode("utf-8", errors="replace").strip()
            raise MailError(f"{self.path}, line 2: {text[:MAX_QUOTED]!r} {self._wrong_count(text)}.")

    def frame(self, engine: DataEngine, keep_lines: bool = False) -> DataFrame:
        """The needed columns, typed; `fault` and `line` tell of the rows that cannot be used.

        Args:
            engine: what reads the file.
            keep_lines: whether `line` is wanted for every row.

        Returns:
            A frame with `fault`, the number that `explain` knows or null, and `line`, the text of a faulty row.
        """
        F = engine.functions
        raw = engine.read_csv(self.path, len(self.header))
        fault = F.when(F.col("broken").isNotNull(), F.lit(self._broken))
        values = []
        for number, column in enumerate(self.columns):
            value, wrong = self._typed(F, column, f"c{self.header.index(column.name)}")
            values.append(value.alias(column.name))
            fault = fault.when(wrong, F.lit(number))
        typed = raw.select(*values, fault.alias("fault"), *(F.col(name).alias(f"_{name}") for name in raw.columns))
        # A rule sees what is typed, hence comes second.
        fault = F.col("fault")
        for number, rule in enumerate(self.rules, start=len(self.columns)):
            fault = F.coalesce(fault, F.when(rule.broken(F), F.lit(number)))
        text = F.coalesce("_broken", F.concat(*self._joined(F)))
        line = text if keep_lines else F.when(fault.isNotNull(), text)
        return typed.select(*(column.name for column in self.columns), fault.alias("fault"), line.alias("line"))

    def _joined(self, F: Any) -> Iterator[Any]:
        """The pieces of a line; `concat_ws` would leave out empty fields."""
        for place in range(len(self.header)):
            if place:
                yield F.lit(",")
            yield F.coalesce(F.col(f"_c{place}"), F.lit(""))

    @staticmethod
    def _typed(F: Any, column: Column, place: str) -> tuple[Any, Any]:
        """A column's value, and whether it is faulty."""
        text = F.col(place)
        # An empty field is null on one engine and a text of no characters on another.
        if column.optional:
            text = F.when(~text.isin("", column.missing), text)
        value = text
        if column.type != "string":
            value = F.expr(f"try_cast(`{place}` as {column.type})")
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
            # Engines differ in what else they take for a number: "1d", "infinity", "0x1p3".
            wrong = ~text.rlike(_NUMBER) | F.coalesce(~(F.abs(value) < F.lit(LARGEST)), F.lit(True))
        else:
            wrong = (text == F.lit("")) | (F.instr(text, _REPLACED) > 0)
        if column.at_least is not None or column.below is not None:
            # Arithmetic with an absurd number would overflow.
            value = F.when(~wrong, value)
        return value, text.isNotNull() & wrong if column.optional else text.isNull() | wrong

    @property
    def _broken(self) -> int:
        """The fault of a line that cannot be split into the header's fields; columns and rules have smaller ones."""
        return len(self.columns) + len(self.rules)

    def broken(self, lines: Sequence[str]) -> pa.Table:
        """`fault` and `line` of lines that the engine could not split."""
        return pa.table(
            {"fault": pa.array([self._broken] * len(lines), pa.int32()), "line": pa.array(lines, pa.string())}
        )

    def expected(self, fault: int) -> str:
        """What rows with a fault should have held, in a few words."""
        if fault == self._broken:
            return f"{len(self.header)} fields of UTF-8 text"
        if fault >= len(self.columns):
            return self.rules[fault - len(self.columns)].expected
        return f"{self.columns[fault].name}: {self.columns[fault].expected}"

    def explain(self, fault: int, line: str) -> str:
        """What is wrong with a row: what was found, and what was expected."""
        cells = line.split(",")
        if fault == self._broken or len(cells) != len(self.header):
            return self._wrong_count(line)
        held = dict(zip(self.header, cells, strict=True))
        if fault >= len(self.columns):
            rule = self.rules[fault - len(self.columns)]
            found = ", ".join(f"'{name}' holds {held[name][:MAX_QUOTED]!r}" for name in rule.columns)
            return f"{found}. Expected {rule.expected}"
        column = self.columns[fault]
        return f"column '{column.name}' holds {held[column.name][:MAX_QUOTED]!r}. Expected {column.expected}"

    def _wrong_count(self, line: str) -> str:
        found = line.count(",") + 1
        if found == len(self.header):
            return "is not UTF-8 text. Expected UTF-8"
        return f"has {found} fields. Expected {len(self.header)}: {','.join(self.header)}"

    def scattered(self, folder: Path, count: int) -> CsvFile | None:
        """A file of rows from all over this one, for a look before anything slow; None of a .gz, which has no places.

        Args:
            folder: where it is made.
            count: how many rows at most.
        """
        if self.path.suffix == ".gz":
            return None
        size, places = self.path.stat().st_size, max(count // HEAD, 1)
        path = folder / self.path.name
        with self._open() as file, open(path, "wb") as out:
            out.write(file.readline().rstrip(b"\r\n") + b"\n")
            start = file.tell()
            for place in range(places):
                file.seek(start + (size - start) * place // places)
                if place:
                    file.readline()
                out.writelines(line.rstrip(b"\r\n") + b"\n" for line in islice(file, HEAD))
        return CsvFile(path, self.columns, self.rules)

    def check_whole(self) -> None:
        """Read a .gz to its end (MailError): of one that is damaged, rows look wrong that are not."""
        if self.path.suffix == ".gz":
            self.first_of(())

    def first_of(self, lines: Collection[str]) -> tuple[str, str] | None:
        """Place and text of the file's first line that is among `lines`; None where bytes were replaced in them."""
        wanted = {line.encode() for line in lines}
        try:
            with self._open() as file:
                next(file)
                for number, line in enumerate(file, start=2):
                    if line.rstrip(b"\r\n") in wanted:
                        return f"{self.path}, line {number}", line.rstrip(b"\r\n").decode()
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(self.path, error) from error
        return None


def damaged(path: Path, error: Exception) -> MailError:
    """What to say of a file that cannot be read to its end."""
    return MailError(f"{path}: is cut off or damaged ({error}). Get the file again.")
