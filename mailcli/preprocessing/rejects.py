"""Rows that cannot be used: counted against the limit, and set aside in `rejected/` with the reason."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pyarrow as pa

from mailcli.errors import MAX_QUOTED, MailError
from mailcli.preprocessing.sources._base import RawData

#: Share of a file's rows that may be unusable (ours: a few spoilt rows do not stop hours of work, a wrong file does).
MAX_BAD_ROWS = 0.001
#: Rows of a reason that the summary shows (ours).
EXAMPLES = 3
#: The fault of a second row of the same user or item.
SECOND = -1


class Rejects:
    """The unusable rows of each table.

    Args:
        source: it explains them.
        limit: largest share of a table's rows.
    """

    def __init__(self, source: RawData, limit: float) -> None:
        self._source = source
        self.limit = limit
        self.rows: dict[str, int] = {}
        """Rows of each table, the unusable ones included."""
        self._faulty: dict[str, list[tuple[int, str]]] = {}

    def take(self, table: str, rows: int, faulty: pa.Table) -> None:
        """Set rows aside; a later call for the same table takes the place of an earlier one.

        Args:
            table: one of TABLES.
            rows: how many it has, the unusable ones included.
            faulty: `fault` and `line` of those.

        Raises:
            MailError: they are too many.
        """
        found = sorted(zip(faulty["fault"].to_pylist(), faulty["line"].to_pylist(), strict=True))
        self.rows[table], self._faulty[table] = rows, found
        if len(found) > self.limit * rows:
            self._source.csv[table].check_whole()
            raise MailError(
                f"{self.first(table)}. {len(found):,} of {rows:,} rows ({len(found) / rows:.2%}) cannot be used, "
                f"--max-bad-rows allows {100 * self.limit:.4g}%. Mend or remove them."
            )

    def first(self, table: str) -> str:
        """The first faulty row in the file's own order, named and explained; empty where there is none."""
        if not self._faulty[table]:
            return ""
        file = self._source.csv[table]
        by_line = {line: fault for fault, line in reversed(self._faulty[table])}
        first = file.first_of(by_line)
        place, line = first or ("", next(iter(by_line)))
        told = f"{place}: " if place else f"{file.path}: the row {line[:MAX_QUOTED]!r} "
        return told + self._explain(table, by_line[line], line)

    def _explain(self, table: str, fault: int, line: str) -> str:
        if fault == SECOND:
            return f"is not the only row of its {table[:-1]}. Expected one row each"
        return self._source.csv[table].explain(fault, line)

    def count(self, table: str) -> int:
        """How many rows of a table are set aside."""
        return len(self._faulty[table])

    def reasons(self, table: str) -> list[tuple[str, int, list[str]]]:
        """What rows should have held, how many did not, and the first of these."""
        counts = Counter(fault for fault, _ in self._faulty[table])
        return [
            (
                f"one row per {table[:-1]}" if fault == SECOND else self._source.csv[table].expected(fault),
                count,
                [line for other, line in self._faulty[table] if other == fault][:EXAMPLES],
            )
            for fault, count in sorted(counts.items())
        ]

    def write(self, folder: Path) -> None:
        """Write `<file>.csv` with the columns `reason` and `row` for every file that has unusable rows."""
        for table, found in self._faulty.items():
            if not found:
                continue
            folder.mkdir(exist_ok=True)
            name = self._source.csv[table].path.name.removesuffix(".gz")
            with open(folder / name, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(("reason", "row"))
                writer.writerows((self._explain(table, fault, line), line) for fault, line in found)
