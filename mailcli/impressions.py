"""Files of impressions to score, CSV or Parquet: read a piece at a time, every fault named by row and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mailcli.csvfile import LONGEST, SHOWN
from mailcli.errors import MailError, choices, nearest

FORMS = (".csv", ".parquet")
#: Whole numbers, written plainly.
_WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"
#: The largest that a column holds; one as long is compared by its digits.
_LARGEST = str(2**63 - 1)
#: Columns at most that one error tells of (ours: the line stays one line).
TOLD = 5


class Needed(NamedTuple):
    """A column that is read."""

    name: str
    is_text: bool
    optional: bool
    """Whether a value may be missing."""

    @property
    def expected(self) -> str:
        """What a value should be."""
        return ("a text" if self.is_text else "a whole number") + (" or nothing" if self.optional else "")


def check_form(path: Path) -> None:
    """Refuse a file's name that does not tell its form (MailError)."""
    if path.suffix not in FORMS:
        raise MailError(f"{path}: the name should end in {' or '.join(FORMS)}, which tells the form of the file.")


class Faults:
    """What is wrong with a file's values: the first of each kind, and how many there are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[tuple[str, str], tuple[int, Any, int]] = {}

    def add(self, column: str, told: str, wrong: pa.Array, values: pa.Array, first_row: int) -> None:
        """Take the rows where `wrong` is true; `told` says what was expected."""
        places = pc.indices_nonzero(wrong.fill_null(False))
        if len(places):
            place = places[0].as_py()
            here = first_row + place, values[place].as_py(), 0
            row, value, _ = min(self._found.get((column, told), here), here, key=lambda found: found[0])
            self._found[column, told] = row, value, self._count(column, told) + len(places)

    def _count(self, column: str, told: str) -> int:
        return self._found[column, told][2] if (column, told) in self._found else 0

    def check(self) -> None:
        """Tell of all that was found (MailError)."""
        if not self._found:
            return
        lines = []
        for (column, told), (row, value, count) in list(self._found.items())[:TOLD]:
            more = f" ({count:,} rows)" if count > 1 else ""
            held = "is empty" if value is None or value == "" else f"holds {value!r:.{SHOWN}}"
            lines.append(f"row {row:,}{more}: column '{column}' {held}. {told}")
        raise MailError(f"{self._path}: {' '.join(lines)}")


class ImpressionFile:
    """A file of impressions.

    Args:
        path: a `.csv` with a header, or a `.parquet`.

    Raises:
        MailError: it is missing, empty, or neither; or its header has a name twice.
    """

    def __init__(self, path: Path) -> None:
        check_form(path)
        if not path.is_file():
            raise MailError(f"{path}: {'is not a file' if path.exists() else 'there is no such file'}.")
        self.path = path
        self._is_csv = path.suffix == ".csv"
        try:
            # Values of a CSV stay the texts that they are.
            names = self._header() if self._is_csv else []
            self.schema = pa.schema([(name, pa.string()) for name in names]) if names else pq.read_schema(path)
        except (OSError, UnicodeError, csv.Error, pa.ArrowInvalid) as error:
            raise _unreadable(path, error) from error
        self.columns: list[str] = self.schema.names
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise MailError(f"{path}: more than one column is named {choices(twice)}. Expected each name once.")

    def _header(self) -> list[str]:
        with open(self.path, "rb") as file:
            names = next(csv.reader([file.readline(LONGEST).decode("utf-8-sig")]), [])
        if not names:
            raise MailError(f"{self.path}: the file is empty. Expected a header line and rows.")
        return names

    def require(self, needed: list[Needed]) -> None:
        """Refuse a file that lacks a column, or has one of a type that cannot be (MailError tells of all)."""
        lost = [each.name for each in needed if each.name not in self.columns]
        if lost:
            others = set(self.columns) - {each.name for each in needed}
            hints = "".join(dict.fromkeys(nearest(name, others) for name in lost))
            raise MailError(
                f"{self.path}: no column {choices(lost)}.{hints} The file's columns are: {', '.join(self.columns)}. "
                f"Expected: {', '.join(each.name for each in needed)}."
            )
        wrong = [each for each in needed if not _fits(self.schema.field(each.name).type, each.is_text)]
        if wrong:
            told = "; ".join(f"'{n.name}' holds {self.schema.field(n.name).type}, expected {n.expected}" for n in wrong)
            raise MailError(f"{self.path}: {told}.")

    def pieces(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The file in pieces of that many rows or less (MailError where it cannot be read)."""
        try:
            for batch in self._csv() if self._is_csv else pq.ParquetFile(self.path).iter_batches(rows):
                for start in range(0, len(batch), rows):
                    yield batch.slice(start, rows)
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(self.path, error) from error

    def _csv(self) -> Iterator[pa.RecordBatch]:
        # An empty field is a null, and is written as an empty field again.
        convert = pa.csv.ConvertOptions(column_types=self.schema, null_values=[""], strings_can_be_null=True)
        parse = pa.csv.ParseOptions(newlines_in_values=True)
        # One thread, so that it knows the number of a faulty row.
        with pa.csv.open_csv(self.path, pa.csv.ReadOptions(use_threads=False), parse, convert) as reader:
            yield from reader


def typed(column: pa.Array, needed: Needed, fault: Callable[[pa.Array], None]) -> pa.Array:
    """A column as texts or as whole numbers, null where a value is missing or wrong.

    Args:
        column: of a type that `ImpressionFile.require` has let through.
        needed: what it should hold.
        fault: told which rows are wrong.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if not needed.optional:
        empty = column.is_null()
        fault(pc.or_(empty, pc.equal(column, "").fill_null(False)) if _is_text(column.type) else empty)
    if needed.is_text:
        texts = column.cast(pa.string())
        return pc.if_else(pc.equal(texts, ""), None, texts)
    if _is_text(column.type):
        column = pc.if_else(pc.equal(column, ""), None, column)
        digits = pc.utf8_ltrim(column, "-")
        short = pc.less(pc.utf8_length(digits), len(_LARGEST))
        whole = pc.and_(pc.match_substring_regex(column, _WHOLE), pc.or_(short, pc.less_equal(digits, _LARGEST)))
    elif pa.types.is_floating(column.type):
        # What pandas makes of whole numbers among which one is missing.
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**53))
    else:
        return column.cast(pa.int64())
    fault(pc.invert(whole))
    return pc.if_else(whole, column, None).cast(pa.int64())


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _fits(kind: pa.DataType, is_text: bool) -> bool:
    """Whether values of an Arrow type may be texts or whole numbers."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    whole = pa.types.is_integer(kind) and kind != pa.uint64()
    return _is_text(kind) or whole or pa.types.is_null(kind) or (pa.types.is_floating(kind) and not is_text)


def _unreadable(path: Path, error: Exception) -> MailError:
    return MailError(f"{path}: cannot be read ({error}).")


class Writer:
    """Writes tables to a `.csv` or `.parquet`; a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if path.suffix == ".csv":
            self._file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
            # Not Arrow's writer, which puts all texts in quotes.
            self._csv = csv.writer(self._file, lineterminator="\n")
            self._csv.writerow(schema.names)
        else:
            self._file = pq.ParquetWriter(path, schema)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: pa.RecordBatch) -> None:
        """Append rows."""
        if isinstance(self._file, pq.ParquetWriter):
            self._file.write_batch(piece)
        else:
            self._csv.writerows(zip(*(_texts(column) for column in piece.columns), strict=True))


def _texts(column: pa.Array) -> list[Any]:
    """What a CSV holds of a column; numbers have as many digits as their type needs, a null none."""
    values: list[Any] = (column.cast(pa.string()) if pa.types.is_floating(column.type) else column).to_pylist()
    return values
