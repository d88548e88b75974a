"""DuckDB's errors about memory and the disk, each in one line that says what to do."""

from __future__ import annotations

import duckdb

from mailcli.errors import MailError
from mailcli.utils.system_errors import LONGEST_ERROR, advice_on


def memory_or_disk_error(error: duckdb.Error, memory_advice: str) -> MailError | None:
    """An error about memory or the disk as one line; None if it is about anything else.

    Args:
        error: of DuckDB.
        memory_advice: what to do about too little memory, as a sentence.
    """
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        # The next lines name settings of DuckDB's that nobody can set here.
        reason = text.splitlines()[0].removeprefix("Out of Memory Error: ").removesuffix(".")
        if "max_temp_directory_size" in text:
            advice = "Free some space, or set another folder of intermediate files, and run the same command again."
            return MailError(f"DuckDB's intermediate files fill the disk: {reason}. {advice}")
        return MailError(f"DuckDB has too little memory: {reason}. {memory_advice}")
    if isinstance(error, duckdb.IOException):
        _, advice = advice_on(text) or ("", "")
        reason = text[:LONGEST_ERROR].strip().removeprefix("IO Error: ").removesuffix(".")
        return MailError(f"{reason}. {advice}".rstrip())
    return None
