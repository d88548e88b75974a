"""Faulty rows of a file or DataFrame: the first of each kind and how many there are, all in one error."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mailcli.errors import MAX_QUOTED, MailError

#: Kinds of faults in one error (ours: the message stays one line).
MOST_KINDS = 5


def printable(name: str) -> str:
    """A column's name for an error text."""
    return name if name.isprintable() else repr(name)


class Faults:
    """Collects faulty rows. The first row below the header is row 1."""

    def __init__(self, label: Path | str) -> None:
        self._label = label
        # (subject, what was expected) -> (row, what was found, number of rows)
        self._kinds: dict[tuple[str, str], tuple[int, str, int]] = {}
        self._skipped: list[int] = []

    def add(self, column: str, expected: str, wrong: pa.Array, values: pa.Array, first_row: int) -> None:
        """Add the rows of a column in which a mask is true.

        Args:
            column: its name.
            expected: what the values should have been.
            wrong: the mask; null counts as false.
            values: the column's values.
            first_row: the row of the first value, not counting rows that were skipped.
        """
        rows = pc.indices_nonzero(wrong.fill_null(False))
        if len(rows):
            first = rows[0].as_py()
            value = _python_value(values[first])
            shown = str(value) if isinstance(value, datetime) else repr(value)
            problem = "is empty" if value is None or value in {"", b""} else f"holds {shown:.{MAX_QUOTED}}"
            row = self._row_in_file(first_row + first)
            self._add(f"column '{printable(column)}' ", expected, row, problem, len(rows))

    def add_row(self, row: int, problem: str, expected: str) -> None:
        """Add a row that is faulty as a whole."""
        self._add("", expected, row, problem, 1)

    def skip(self, row: int, problem: str, expected: str) -> None:
        """Add a row that is faulty as a whole and will be skipped; call it in the order of rows."""
        self._skipped.append(row)
        self.add_row(row, problem, expected)

    def _row_in_file(self, row: int) -> int:
        """The number of a row in the file, given its number among the rows that are not skipped."""
        for skipped in self._skipped:
            if skipped > row:
                break
            row += 1
        return row

    def _add(self, subject: str, expected: str, row: int, problem: str, count: int) -> None:
        first_row, first_problem, rows = self._kinds.get((subject, expected), (row, problem, 0))
        first = min((first_row, first_problem), (row, problem))
        self._kinds[subject, expected] = (*first, rows + count)

    def check(self) -> None:
        """Report all faults, if there are any (MailError)."""
        if not self._kinds:
            return
        lines = []
        for (subject, expected), (row, problem, count) in list(self._kinds.items())[:MOST_KINDS]:
            rows = f" ({count:,} rows)" if count > 1 else ""
            lines.append(f"row {row:,}{rows}: {subject}{problem}. Expected {expected}")
        raise MailError(f"{self._label}: {' '.join(lines)}")


def _python_value(scalar: pa.Scalar) -> Any:
    """The value as Python has it; of a time beyond the year 9999, the number of its units since 1970."""
    try:
        return scalar.as_py()
    except OverflowError:
        return scalar.value
