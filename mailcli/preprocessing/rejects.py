"""Rows that cannot be used: counted against the limit, and set aside in `rejected/` with the reason."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pyarrow as pa

from mailcli.errors import MailError
from mailcli.escape import csv_cell
from mailcli.preprocessing.raw_file import locate_first
from mailcli.preprocessing.schema_file.parquet import is_parquet
from mailcli.preprocessing.sources._base import RawData

#: Share of a file's rows that may be unusable (ours: a few bad rows do not stop hours of work, a wrong file does).
MAX_BAD_ROWS = 0.001
#: Example rows per reason in the summary (ours).
EXAMPLES = 3
#: Rows among which the first in its file is looked for if there are too many to keep them all (ours: tens of MB).
SEARCHED = 10_000
#: The fault of a further row of the same user or item.
DUPLICATE_KEY = -1


class Rejects:
    """The unusable rows of each table.

    Args:
        source: explains them.
        limit: largest share of a table's rows.
    """

    def __init__(self, source: RawData, limit: float) -> None:
        self._source = source
        self.limit = limit
        self.rows: dict[str, int] = {}
        """Number of rows of each table, the unusable ones included."""
        self._faulty: dict[str, list[tuple[int, str]]] = {}

    def are_too_many(self, count: int, rows: int) -> bool:
        """Whether so many unusable ones among so many rows are above the limit."""
        return count > self.limit * rows

    def set_aside(self, table: str, rows: int, faulty: pa.Table, count: int | None = None) -> None:
        """Set rows aside; a later call for the same table replaces an earlier one.

        Args:
            table: one of TABLES.
            rows: its number of rows, the unusable ones included.
            faulty: `fault` and `line` of the unusable rows.
            count: the number of unusable rows; if `are_too_many`, `faulty` need hold only some of them.

        Raises:
            MailError: they are too many.
        """
        faults = sorted(zip(faulty["fault"].to_pylist(), faulty["line"].to_pylist(), strict=True))
        self.rows[table], self._faulty[table] = rows, faults
        count = len(faults) if count is None else count
        if self.are_too_many(count, rows):
            self._source.raw_files[table].check_whole()
            raise MailError(
                f"{self.first(table)}. {count:,} of {rows:,} rows ({count / rows:.2%}) cannot be used, "
                f"--max-bad-rows allows {100 * self.limit:.4g}%. Fix or remove them."
            )

    def first(self, table: str) -> str:
        """The first faulty row in the file's own order, located and explained; empty if there is none."""
        if not self._faulty[table]:
            return ""
        file = self._source.raw_files[table]
        fault_of = {line: fault for fault, line in reversed(self._faulty[table])}
        place, line = locate_first(file, fault_of)
        return f"{place}: {self._explain(table, fault_of[line], line)}"

    def _explain(self, table: str, fault: int, line: str) -> str:
        if fault == DUPLICATE_KEY:
            key = table.removesuffix("s")
            return f"has the same {key} as another row. Expected one row per {key}"
        return self._source.raw_files[table].explain(fault, line)

    def count(self, table: str) -> int:
        """How many rows of a table are set aside."""
        return len(self._faulty[table])

    def reasons(self, table: str) -> list[tuple[str, int, list[str]]]:
        """For each fault: what was expected, the number of rows, and the first examples."""
        counts = Counter(fault for fault, _ in self._faulty[table])
        return [
            (self._expected(table, fault), count, self._examples(table, fault))
            for fault, count in sorted(counts.items())
        ]

    def _expected(self, table: str, fault: int) -> str:
        if fault == DUPLICATE_KEY:
            return f"one row per {table.removesuffix('s')}"
        return self._source.raw_files[table].expected(fault)

    def _examples(self, table: str, fault: int) -> list[str]:
        return [line for row_fault, line in self._faulty[table] if row_fault == fault][:EXAMPLES]

    def write(self, folder: Path) -> None:
        """Write a CSV file with the columns `reason` and `row` for every table that has unusable rows."""
        for table, name in self._names().items():
            folder.mkdir(exist_ok=True)
            with open(folder / name, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(("reason", "row"))
                writer.writerows(
                    (csv_cell(self._explain(table, fault, line)), csv_cell(line)) for fault, line in self._faulty[table]
                )

    def _names(self) -> dict[str, str]:
        """Where the unusable rows of each table go: a CSV file named like its first raw file.

        Several tables may be read from one file, or from files of one name in several folders; then every name begins
        with its table.
        """
        faulty = [table for table, faults in self._faulty.items() if faults]
        names = {table: _csv_name(self._source.raw_files[table].path) for table in faulty}
        # Some file systems do not tell upper from lower case.
        if len({name.lower() for name in names.values()}) == len(names):
            return names
        return {table: f"{table}-{name}" for table, name in names.items()}


def _csv_name(raw_file: Path) -> str:
    """The name of the file with a raw file's unusable rows, which are CSV: that of the raw file, if it is text."""
    return f"{raw_file.name}.csv" if is_parquet(raw_file) else raw_file.name.removesuffix(".gz")
