"""How much memory an embedding table takes, and may take."""

from __future__ import annotations

import os

from mailcli.errors import MailError
from mailcli.utils.hardware import memory_bytes

#: The environment variable that hands the limit of a table's memory to processes of a pool.
_TABLE_MEMORY = "MAIL_TABLE_MEMORY"


def table_bytes(rows: int, dim: int, training: bool = True) -> int:
    """Memory of a float32 embedding table, in training with Adam's two moments.

    The table is saved and loaded in parts, so no second copy is needed.
    """
    return (3 if training else 1) * 4 * rows * dim


def table_memory() -> int | None:
    """Memory for an embedding table with its moments: what was set, or three quarters of the machine's (ours).

    The rest is for the model, for batches and for the system's cache of the dataset's files. None where neither is
    known.

    Raises:
        MailError: what was set in the environment is not a number.
    """
    limit = os.environ.get(_TABLE_MEMORY)
    if limit is not None:
        if not limit.isdecimal():
            raise MailError(f"{_TABLE_MEMORY} is {limit!r}. Expected a number of bytes; or use --table-memory 4GB.")
        return int(limit)
    memory = memory_bytes()
    return memory and memory * 3 // 4


def limit_table_memory(size: int) -> None:
    """Set what `table_memory` returns, in this process and in those that it starts."""
    os.environ[_TABLE_MEMORY] = str(size)
