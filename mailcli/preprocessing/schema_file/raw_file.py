"""The files behind a table: explains rows that cannot be used, and finds their lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from mailcli.errors import MAX_QUOTED, counted
from mailcli.preprocessing.engines._base import BrokenLine, DataEngine
from mailcli.preprocessing.gzip_file import GZIP_ERRORS, is_gzip
from mailcli.preprocessing.raw_file import KEPT_CHARACTERS, damaged
from mailcli.preprocessing.row_count import RowFormat
from mailcli.preprocessing.schema_file.definition import TIME_LIMIT, UNITS, RuleDefinition, TimeDefinition
from mailcli.preprocessing.schema_file.locate import LocatedFiles, first_names
from mailcli.preprocessing.schema_file.sql import first_parquet_row
from mailcli.preprocessing.schema_file.text_file import (
    MAX_LINE_BYTES,
    join_row,
    looks_like,
    open_text,
    split_row,
)

#: Why a line cannot be split into fields: see BrokenLine.
REASONS = ("fields", "encoding", "quotes", "length")


Hint = Callable[[str], str]
"""From the value of a check's first column to what may have to change in the schema file."""


@dataclass(frozen=True)
class RowCheck:
    """What a row must contain."""

    columns: tuple[str, ...]
    expected: str
    is_wrong: str
    """SQL that is true for a row that cannot be used."""
    hint: Hint | None = None


#: Labels other than 1, in lower case, for which a rule holds in every log (ours).
_YES = ("yes", "y", "t", "on")


def rule_hint(rule: RuleDefinition, value: str) -> str:
    """The label may be written differently; of most values it is not known whether the rule should hold for them."""
    if not value:
        return ""
    equals, meaning = '"..."', ", with the value for which it holds"
    if value.strip().lower() in _YES:
        equals, meaning = json.dumps(value), ""
    elif value.strip() in {"-1", "-1.0"}:  # the other label is then 1
        equals, meaning = "1", ""
    return f"; or {rule.key} = {{column = {json.dumps(rule.column)}, equals = {equals}}}{meaning}"


def time_hint(time: TimeDefinition, value: str) -> str:
    """The time may be in another unit, text, or text with more digits after the second."""
    if "%f" in time.format and re.search(r"\.\d{7,9}(?!\d)", value):
        return "; or a format with %n instead of %f, which reads nine digits after the second"
    if time.format:
        return ""
    try:
        number = float(value)
    except ValueError:
        has_digits = any(character.isdigit() for character in value)
        return '; or a format such as "%Y-%m-%d %H:%M:%S", if it is text' if has_digits else ""
    units = [unit for unit, count in UNITS.items() if count > UNITS[time.unit] and 0 <= number < TIME_LIMIT * count]
    return f'; or unit = "{units[0]}"' if units and number >= TIME_LIMIT * UNITS[time.unit] else ""


@dataclass(frozen=True)
class SchemaRawFile:
    """The files of a table as a RawFile.

    Args:
        files: the files.
        checks: the checks of each row. Fault number k is a violation of checks[k]; from len(checks) on, it is a line
            that cannot be split, for one of REASONS.
        has_hints: whether faults are explained with keys of the schema file, which a user may change.
        joined: the name of the file that is joined to the rows.
    """

    files: LocatedFiles
    checks: Sequence[RowCheck]
    has_hints: bool = True
    joined: str = ""

    @property
    def path(self) -> Path:
        """The first file."""
        return self.files.paths[0]

    def expected(self, fault: int) -> str:
        """What rows with a fault should have contained, in a few words."""
        if fault >= len(self.checks):
            return self._expected_of_lines()[REASONS[fault - len(self.checks)]]
        check = self.checks[fault]
        return f"{', '.join(check.columns)}: {check.expected}"

    def explain(self, fault: int, line: str) -> str:
        """What is wrong with a row: what it contains, and what was expected."""
        if fault >= len(self.checks):
            return self._explain_unsplit(REASONS[fault - len(self.checks)], line)
        row, check = self._row(line), self.checks[fault]
        contents = ", ".join(self._contents(name, row) for name in check.columns)
        hint = check.hint(row.get(check.columns[0], "")) if check.hint and self.has_hints else ""
        return f"{contents}. Expected {check.expected}{hint}"

    def _row(self, line: str) -> dict[str, str]:
        """The values of a row by column; of one that was cut because it is long, those that are whole for certain."""
        if len(line) < KEPT_CHARACTERS:
            return dict(zip(self.files.read_header, self._cells(line), strict=False))
        return {} if self.files.parquet else dict(zip(self.files.read_header, self._cells(line)[:-1], strict=False))

    def _contents(self, column: str, row: dict[str, str]) -> str:
        """What a column holds in a row."""
        if column in row:
            return f"column '{column}' holds {row[column][:MAX_QUOTED]!r}"
        if column in self.files.read_header:
            return f"column '{column}' holds another value, in a row of more than {KEPT_CHARACTERS:,} characters"
        if column in self.files.folder_columns:
            return f"the folder column '{column}' holds another value"
        return f"the column '{column}' of {self.joined} holds another value"

    def _expected_of_lines(self) -> dict[str, str]:
        """What a line should be, by the reason why it could not be split."""
        return {
            "fields": f"{len(self.files.header)} fields",
            "encoding": f"{self.files.format.encoding} text",
            "quotes": "closed quotes",
            "length": f"a line of at most {MAX_LINE_BYTES >> 20} MB",
        }

    def _explain_unsplit(self, reason: str, line: str) -> str:
        """What is wrong with a line that DuckDB could not split."""
        header, encoding = self.files.header, self.files.format.encoding
        if reason == "encoding":
            return f"is not {encoding} text. Expected such text{self._encoding_hint}"
        if reason == "length":
            size = f"{MAX_LINE_BYTES >> 20} MB ({MAX_LINE_BYTES:,} bytes)"
            return f"is longer than {size}. Expected a shorter line, for example with fewer values in its list"
        if reason == "quotes":
            hint = '; or quote = "", if quotes have no meaning' if self.has_hints else ""
            return f"has text after a closing quote. Expected closed quotes{hint}"
        is_whole = len(line) < KEPT_CHARACTERS
        count = counted(len(self._cells(line)), "field") if is_whole else "another number of fields"
        return f"has {count}. Expected {len(header)}: {first_names(header)}"

    @cached_property
    def _encoding_hint(self) -> str:
        """Another encoding that the files may have."""
        if self.files.format.encoding != "utf-8" or not self.has_hints:
            return ""
        if any(looks_like(path, "gb18030") for path in self.files.paths):
            return '; or encoding = "gb18030", which the file seems to be'
        return '; or encoding = "windows-1252", as of many Western European files'

    def _columns_read(self, line: str) -> str:
        """A line of a wide file with only the columns that are read, as in SqlTable.line."""
        cells = self._cells(line)
        if len(cells) != len(self.files.header):
            return line
        return join_row([cells[number] for number in self.files.numbers], self.files.format)

    def _cells(self, line: str) -> list[str]:
        """The values of a row; of one whose quotes are wrong, the line itself."""
        if self.files.parquet:
            return ["" if value is None else str(value) for value in json.loads(line).values()]
        try:
            return split_row(line, self.files.format)
        except csv.Error:
            return [line]

    def broken(self, lines: Sequence[BrokenLine]) -> pa.Table:
        """`fault` and `line` of lines that the engine could not split."""
        faults = [len(self.checks) + REASONS.index(line.reason) for line in lines]
        texts = [line.text.strip("\r\n") for line in lines]
        return pa.table({"fault": pa.array(faults, pa.int32()), "line": pa.array(texts, pa.string())})

    @property
    def key(self) -> str:
        """The table of the schema file that names the files; empty if there is none that a user may change."""
        return self.files.key if self.has_hints else ""

    @property
    def row_formats(self) -> dict[Path, RowFormat | None]:
        """How the rows of each file are written."""
        return self.files.row_formats

    def check_sample(self, engine: DataEngine, folder: Path) -> None:
        """Nothing to do: the first rows of the files were checked when they were located."""
        del engine, folder

    def check_whole(self) -> None:
        """Read .gz files to their end (MailError): a damaged one makes good rows look wrong."""
        if any(map(is_gzip, self.files.paths)):
            self.first_of(())

    def first_of(self, lines: Collection[str]) -> tuple[str, str] | None:
        """Place and text of the first line among `lines`; None if a row spans lines."""
        if self.files.parquet:
            return first_parquet_row(self.files, lines)
        lines, encoding = set(lines), self.files.format.encoding
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        for path in self.files.paths:
            try:
                with open_text(path, encoding, errors) as file:
                    for number, text in enumerate(file, start=1):
                        line = text.rstrip("\r\n")
                        line = line if line in lines else _as_read_by_duckdb(line[:KEPT_CHARACTERS], lines)
                        # In the copy of a file, a byte that is not text is replaced by '?', too.
                        line = line if line in lines else line.replace("\ufffd", "?")
                        if self.files.is_wide and line not in lines:
                            line = self._columns_read(text.rstrip("\r\n"))
                        if line in lines and (number > 1 or not self.files.has_header):
                            return f"{path}, line {number}", line
            except (OSError, *GZIP_ERRORS) as error:
                raise damaged(path, error) from error
        return None


def _as_read_by_duckdb(line: str, lines: Collection[str]) -> str:
    """A line with invalid UTF-8 as it is among `lines`: DuckDB replaced each invalid byte, and some others, by '?'."""
    if line.isascii() or not any("\udc80" <= character <= "\udcff" for character in line):
        return line
    raw = line.encode("utf-8", "surrogateescape")
    for candidate in lines:
        replaced = candidate.encode()
        if len(replaced) == len(raw) and all(new in {old, ord("?")} for new, old in zip(replaced, raw, strict=True)):
            return candidate
    return line
