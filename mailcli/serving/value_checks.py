"""Values of a file that is scored: typed as the dataset has them, and every fault named by row and column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mailcli.errors import MAX_QUOTED, MailError

#: Whole numbers, written plainly.
_WHOLE = r"^(0|-?[1-9][0-9]*)$"
#: The largest that a column holds; one as long is compared by its digits. The smallest stands for a missing value.
_LARGEST = 2**63 - 1
#: The largest that a column of floats tells from its neighbours.
_LARGEST_FLOAT = 2**53 - 1
#: Kinds of faults at most that one error tells of (ours: the line stays one line).
TOLD = 5


class RequiredColumn(NamedTuple):
    """A column that is read."""

    name: str
    is_text: bool
    optional: bool
    """Whether a value may be missing."""

    @property
    def expected(self) -> str:
        """What a value should be."""
        return ("a text" if self.is_text else "a whole number") + (" or nothing" if self.optional else "")


def shown(name: str) -> str:
    """A column's name for an error text."""
    return name if name.isprintable() else repr(name)


class Faults:
    """What is wrong with a file's rows: the first of each kind, and how many there are. The first row has number 1."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # (whose fault, what was expected) -> (row, what was found, how many rows)
        self._found: dict[tuple[str, str], tuple[int, str, int]] = {}
        self._skipped: list[int] = []

    def add(self, column: str, told: str, wrong: pa.Array, values: pa.Array, first_row: int) -> None:
        """Take the rows where `wrong` is true; `told` says what was expected.

        `first_row` is that of the values; rows that were skipped are not counted in it.
        """
        places = pc.indices_nonzero(wrong.fill_null(False))
        if len(places):
            place = places[0].as_py()
            value = values[place].as_py()
            held = "is empty" if value is None or value in {"", b""} else f"holds {value!r:.{MAX_QUOTED}}"
            self._add(f"column '{shown(column)}' ", told, self._row(first_row + place), held, len(places))

    def add_row(self, row: int, held: str, told: str) -> None:
        """Take a row that is faulty as a whole."""
        self._add("", told, row, held, 1)

    def skip(self, row: int, held: str, told: str) -> None:
        """Take a row that is faulty as a whole and is not read; call it in the order of rows."""
        self._skipped.append(row)
        self.add_row(row, held, told)

    def _row(self, row: int) -> int:
        """The number of a row among all, of its number among those that are read."""
        for skipped in self._skipped:
            if skipped > row:
                break
            row += 1
        return row

    def _add(self, whose: str, told: str, row: int, held: str, count: int) -> None:
        first, text, before = self._found.get((whose, told), (row, held, 0))
        self._found[whose, told] = (*min((first, text), (row, held)), before + count)

    def check(self) -> None:
        """Tell of all that was found (MailError)."""
        if not self._found:
            return
        lines = []
        for (whose, told), (row, held, count) in list(self._found.items())[:TOLD]:
            more = f" ({count:,} rows)" if count > 1 else ""
            lines.append(f"row {row:,}{more}: {whose}{held}. Expected {told}")
        raise MailError(f"{self._path}: {' '.join(lines)}")


def decode_texts(column: pa.Array, fault: Callable[[pa.Array, str], None]) -> pa.Array:
    """A column of bytes as texts; `fault` is told which rows are no texts, and what was expected."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        values = column.to_pylist()
        texts = [None if value is None else value.decode(errors="replace") for value in values]
        wrong = [text is not None and text.encode() != value for value, text in zip(values, texts, strict=True)]
        fault(pa.array(wrong), "UTF-8: save the file in that encoding.")
        return pa.array(texts, pa.string())


def cast_column(column: pa.Array, needed: RequiredColumn, fault: Callable[[pa.Array, str], None]) -> pa.Array:
    """A column as texts or as whole numbers, null where a value is missing or wrong.

    Args:
        column: of a type that `fits`.
        needed: what it should hold.
        fault: told which rows are wrong, and what was expected.
    """
    expected = f"{needed.expected}."
    column = _plain(column, fault)
    if not needed.optional:
        empty = column.is_null()
        fault(pc.or_(empty, pc.equal(column, "").fill_null(False)) if is_text(column.type) else empty, expected)
    if needed.is_text:
        texts = column.cast(pa.string())
        return pc.if_else(pc.equal(texts, ""), None, texts)
    largest = _LARGEST
    if is_text(column.type):
        column = pc.if_else(pc.equal(column, ""), None, column)
        whole = pc.match_substring_regex(column, _WHOLE)
        digits, length = pc.utf8_ltrim(column, "-"), len(str(_LARGEST))
        as_long = pc.equal(pc.utf8_length(digits), length)
        held = pc.or_(pc.less(pc.utf8_length(digits), length), pc.and_(as_long, pc.less_equal(digits, str(_LARGEST))))
    elif pa.types.is_floating(column.type):
        # What pandas makes of whole numbers among which one is missing.
        column = pc.if_else(pc.is_nan(column), None, column)
        whole, largest = pc.equal(pc.floor(column), column), _LARGEST_FLOAT
        held = pc.less_equal(pc.abs(column), float(_LARGEST_FLOAT))
    else:
        # Decimals, because no whole number of Arrow holds all others.
        numbers = column.cast(pa.decimal128(20))
        whole, held = pc.equal(numbers, numbers), pc.less_equal(pc.abs(numbers), pa.scalar(_LARGEST).cast(numbers.type))
    # Compared where it is a number at all.
    fault(pc.invert(whole), expected)
    fault(pc.and_(whole, pc.invert(held)), f"a whole number between -{largest} and {largest}.")
    return pc.if_else(pc.and_(whole, held), column, None).cast(pa.int64())


def _plain(column: pa.Array, fault: Callable[[pa.Array, str], None]) -> pa.Array:
    """A column of texts as Arrow's strings, others as they are; none is encoded."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_bytes(column.type):
        return decode_texts(column, fault)
    return column.cast(pa.string()) if is_text(column.type) or pa.types.is_null(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of bytes of any length, which may be texts."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def fits(kind: pa.DataType, needed: RequiredColumn) -> bool:
    """Whether values of an Arrow type may be what is needed."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    numbers = pa.types.is_integer(kind) or (pa.types.is_floating(kind) and not needed.is_text)
    return is_text(kind) or is_bytes(kind) or numbers or pa.types.is_null(kind)
