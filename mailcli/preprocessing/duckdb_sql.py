"""Names, strings and lists of files as DuckDB's SQL writes them."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path


def literal(text: Path | str) -> str:
    """A string as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def double(number: float) -> str:
    """A number as an SQL literal of 64 bits; without quotes, DuckDB would read a decimal number."""
    return f"'{number!r}'::DOUBLE"


def pattern_of(path: Path) -> str:
    """A pattern that matches only this file."""
    pattern = glob.escape(str(path))
    # In a pattern, DuckDB takes a backslash for the end of a folder's name, so it is a range of characters.
    return pattern if pattern == str(path) else pattern.replace("\\", "[[-]]")


def paths_literal(paths: Iterable[Path]) -> str:
    """Files as an SQL list; DuckDB would take characters of their names for patterns."""
    return f"[{', '.join(literal(pattern_of(path)) for path in paths)}]"


def identifier(column: str) -> str:
    """A column's name as a quoted SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def sql_tuple(texts: Sequence[str]) -> str:
    """Texts as SQL has them behind IN."""
    return f"({', '.join(map(literal, texts))})"


def double_of(text: str) -> str:
    """A text as a number, null where it is none; DuckDB would read 18_24 as 1824."""
    return f"try_cast(CASE WHEN NOT contains({text}, '_') THEN {text} END AS DOUBLE)"
