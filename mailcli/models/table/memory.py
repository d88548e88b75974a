"""Whether an embedding table fits in memory, and what is done if it does not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mailcli.models.table.mapped import MappedTable
from mailcli.utils.hardware import table_bytes

#: Of a row in memory, beside its embedding and moments: the step of its last gradient.
_STEP_BYTES = 4


def row_bytes(dim: int) -> int:
    """Memory of a row with its moments."""
    return table_bytes(1, dim) + _STEP_BYTES


class TableMemory(NamedTuple):
    """Memory for an embedding table with Adam's two moments."""

    size: int
    """Bytes."""
    folder: Path
    """Where the files of a larger table are."""

    def map_table(self, rows: int, dim: int) -> MappedTable | None:
        """A mapped table with as many rows in memory as fit; None if all do."""
        if table_bytes(rows, dim) <= self.size:
            return None
        return MappedTable(rows, max(self.size // row_bytes(dim), 1), self.folder)
