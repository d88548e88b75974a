"""Whether an embedding table fits in memory, and what is done if it does not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mailcli.models.table.mapped import MappedTable
from mailcli.utils.table_memory import table_bytes

#: Bytes of a row in memory besides its embedding and moments (the step of its last gradient, and what MappedTable keeps
#: of a slot), and bytes of every row of the table (its slot).
_SLOT_BYTES, _ROW_BYTES = 4 + 25, 4


class TableMemory(NamedTuple):
    """Memory for an embedding table."""

    size: int
    """Bytes."""
    folder: Path
    """Where the files of a larger table are."""
    training: bool
    """Whether Adam's two moments belong to the table; what is only read needs no rows in memory."""

    def map_table(self, rows: int, dim: int) -> MappedTable | None:
        """A mapped table with as many rows in memory as fit; None if all do."""
        if table_bytes(rows, dim, self.training) <= self.size:
            return None
        capacity = (self.size - _ROW_BYTES * rows) // (table_bytes(1, dim) + _SLOT_BYTES)
        return MappedTable(rows, max(capacity, 1) if self.training else 1, self.folder)


def needed_memory(rows: int, rows_in_memory: int, dim: int) -> int:
    """Bytes that a mapped table takes in training, with so many of its rows in memory."""
    return _ROW_BYTES * rows + (table_bytes(1, dim) + _SLOT_BYTES) * rows_in_memory
