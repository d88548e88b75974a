"""A raw CSV file: the header is checked before anything slow, values are typed, every faulty row is explained."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from mailcli.errors import MAX_QUOTED, MailError, counted, did_you_mean
from mailcli.preprocessing.csv_columns import Column, Rule
from mailcli.preprocessing.engines._base import BrokenLine, DataEngine, DataFrame
from mailcli.preprocessing.gzip_file import GZIP_ERRORS, is_gzip
from mailcli.preprocessing.raw_file import damaged
from mailcli.preprocessing.row_count import RowFormat
from mailcli.utils.system_errors import name_in_write_errors

#: Lines at the start of the file of which at least one must have as many fields as the header (ours).
HEAD_LINES = 100
#: Bytes read of each of these lines (ours).
HEAD_LINE_BYTES = 1 << 16
#: Rows sampled from all over the file for a check before anything slow (ours).
SAMPLED_ROWS = 1000


class CsvFile:
    """One CSV file, plain or gzipped, with the columns that its source needs. Quotes have no special meaning.

    Args:
        path: the file.
        columns: the columns to read; the file may have others.
        rules: what several columns must satisfy together.

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
                self._check_head(file)
        except (OSError, *GZIP_ERRORS, UnicodeError, csv.Error) as error:
            raise MailError(f"{path}: cannot be read ({error}). Expected a readable CSV file, plain or .gz.") from error

    def _open(self) -> BinaryIO:
        return gzip.open(self.path, "rb") if is_gzip(self.path) else open(self.path, "rb")  # type: ignore[return-value]

    def _read_header(self, file: BinaryIO) -> list[str]:
        line = file.readline(HEAD_LINE_BYTES).decode("utf-8-sig")
        if not line.strip():
            has_text = any(file.readline(HEAD_LINE_BYTES).strip() for _ in range(HEAD_LINES))
            fault = "begins with a blank line" if has_text else "the file is empty"
            raise MailError(f"{self.path}: {fault}. Expected a header line and rows.")
        header = next(csv.reader([line]), [])
        # One published header ends in a space (user_profile.csv).
        return [name.strip() for name in header]

    def _check_header(self) -> None:
        expected = [column.name for column in self.columns]
        for name in expected:
            if self.header.count(name) != 1:
                count = "more than one" if name in self.header else "no"
                raise MailError(
                    f"{self.path}: {count} column '{name}'.{did_you_mean(name, set(self.header) - set(expected))} "
                    f"The file's header is: {','.join(self.header)}. Expected: {','.join(expected)}."
                )

    def _check_head(self, file: BinaryIO) -> None:
        """A separator other than the header's is reported at once, not after hours (MailError)."""
        lines = enumerate((file.readline(HEAD_LINE_BYTES) for _ in range(HEAD_LINES)), start=2)
        rows = [(number, line) for number, line in lines if line.strip()]
        if not rows:
            raise MailError(f"{self.path}: there is no row below the header. Expected rows: get the file again.")
        if all(line.count(b",") != len(self.header) - 1 for _, line in rows):
            number, line = rows[0]
            text = line.decode("utf-8", errors="replace").strip()
            raise MailError(f"{self.path}, line {number}: {text[:MAX_QUOTED]!r} {self._wrong_count(text)}.")

    # Rows

    def frame(self, engine: DataEngine, keep_lines: bool = False) -> DataFrame:
        """The needed columns, typed; `fault` and `line` mark the rows that cannot be used.

        Args:
            engine: reads the file.
            keep_lines: whether every row keeps its `line`, not only the faulty ones.

        Returns:
            A frame with the columns, `fault` (a number that `explain` knows, or null) and `line` (the row's text).
        """
        F = engine.functions
        raw = engine.read_csv(self.path, len(self.header))
        fault = F.when(F.col("broken").isNotNull(), F.lit(self._broken))
        values = []
        for number, column in enumerate(self.columns):
            value, is_faulty = column.typed(F, f"c{self.header.index(column.name)}")
            values.append(value.alias(column.name))
            fault = fault.when(is_faulty, F.lit(number))
        texts = (F.col(name).alias(f"_{name}") for name in raw.columns)
        typed = engine.as_view(raw.select(*values, fault.alias("fault"), *texts))
        # Rules need typed values, hence come second.
        fault = F.col("fault")
        for number, rule in enumerate(self.rules, start=len(self.columns)):
            fault = F.coalesce(fault, F.when(rule.violated(F), F.lit(number)))
        text = F.coalesce("_broken", F.concat(*self._line(F)))
        line = text if keep_lines else F.when(fault.isNotNull(), text)
        return typed.select(*(column.name for column in self.columns), fault.alias("fault"), line.alias("line"))

    def _line(self, F: Any) -> Iterator[Any]:
        """The pieces of a row's line; `concat_ws` would leave out empty fields."""
        for position in range(len(self.header)):
            if position:
                yield F.lit(",")
            yield F.coalesce(F.col(f"_c{position}"), F.lit(""))

    # Faults: columns have the first numbers, then rules; a line that cannot be split has the last

    @property
    def _broken(self) -> int:
        """The fault of a line that cannot be split into the header's fields."""
        return len(self.columns) + len(self.rules)

    def broken(self, lines: Sequence[BrokenLine]) -> pa.Table:
        """`fault` and `line` of lines that the engine could not split."""
        texts = pa.array([line.text for line in lines], pa.string())
        return pa.table({"fault": pa.array([self._broken] * len(lines), pa.int32()), "line": texts})

    @property
    def key(self) -> str:
        """Empty: this source has no schema file."""
        return ""

    @property
    def row_formats(self) -> dict[Path, RowFormat | None]:
        """How the rows are written."""
        return {self.path: RowFormat(",", "", "utf-8", True, len(self.header))}

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
        by_name = dict(zip(self.header, cells, strict=True))
        if fault >= len(self.columns):
            rule = self.rules[fault - len(self.columns)]
            values = ", ".join(f"'{name}' holds {by_name[name][:MAX_QUOTED]!r}" for name in rule.columns)
            return f"{values}. Expected {rule.expected}"
        column = self.columns[fault]
        return f"column '{column.name}' holds {by_name[column.name][:MAX_QUOTED]!r}. Expected {column.expected}"

    def _wrong_count(self, line: str) -> str:
        count = line.count(",") + 1
        if count == len(self.header):
            return "is not UTF-8 text. Expected UTF-8"
        return f"has {counted(count, 'field')}. Expected {len(self.header)}: {','.join(self.header)}"

    # The whole file

    def check_sample(self, engine: DataEngine, folder: Path) -> None:
        """Refuse a file if none of SAMPLED_ROWS rows from all over it can be used (MailError); a .gz is not sampled.

        Args:
            engine: reads the sample.
            folder: for the sample.
        """
        if is_gzip(self.path):  # it has no random access
            return
        sample = CsvFile(self._write_sample(folder), self.columns, self.rules)
        rows = engine.collect(sample.frame(engine).select("fault", "line"))
        if len(rows) and rows["fault"].null_count == 0:
            fault, line = rows["fault"][0].as_py(), rows["line"][0].as_py()
            raise MailError(
                f"{self.path}: none of {len(rows):,} rows sampled from the whole file can be used. "
                f"For example, {line[:MAX_QUOTED]!r}: {self.explain(fault, line)}."
            )

    def _write_sample(self, folder: Path) -> Path:
        """A file with HEAD_LINES consecutive lines from each of several evenly spaced positions."""
        size, positions = self.path.stat().st_size, SAMPLED_ROWS // HEAD_LINES
        path = folder / self.path.name
        with self._open() as file:
            lines = [file.readline()]
            start = file.tell()
            for position in range(positions):
                file.seek(start + (size - start) * position // positions)
                if position:
                    file.readline()
                lines += islice(file, HEAD_LINES)
        with name_in_write_errors(path):
            path.write_bytes(b"".join(line.rstrip(b"\r\n") + b"\n" for line in lines))
        return path

    def check_whole(self) -> None:
        """Read a .gz to its end (MailError): rows of a damaged file may look faulty without being so."""
        if is_gzip(self.path):
            self.first_of(())

    def first_of(self, lines: Collection[str]) -> tuple[str, str] | None:
        """Place and text of the file's first line among `lines`; None if the engine replaced bytes in them."""
        encoded = {line.encode() for line in lines}
        try:
            with self._open() as file:
                next(file)
                for number, line in enumerate(file, start=2):
                    if line.rstrip(b"\r\n") in encoded:
                        return f"{self.path}, line {number}", line.rstrip(b"\r\n").decode()
        except (OSError, *GZIP_ERRORS) as error:
            raise damaged(self.path, error) from error
        return None
